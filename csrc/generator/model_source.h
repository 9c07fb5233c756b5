#pragma once

#include <functional>
#include <optional>
#include <string>

#include "generator/model_shape.h"
#include "generator/native_source.h"

namespace nmt_trt {

/// The bytes of the plan of a graph: "encoder_0" to "encoder_<encoder layers>", "decoder_0" to
/// "decoder_<2 * layers>".
using PlanProvider = std::function<std::string(const std::string& graph)>;

/// A model as the caller gives it.
struct ModelSource {
  PlanProvider provider;
  ModelShape shape;
  /// Where the decoder runs on kernels of ours; no plan of it is asked for then.
  std::optional<NativeSource> native = std::nullopt;
};

}  // namespace nmt_trt
