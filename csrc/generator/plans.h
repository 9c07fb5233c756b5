#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/engine.h"
#include "cuda/device_buffer.h"
#include "generator/buckets.h"
#include "generator/model_shape.h"

namespace nmt_trt {

/// The bytes of the plan of a graph: "encoder_0" to "encoder_<encoder layers>", "decoder_0" to
/// "decoder_<2 * layers>".
using PlanProvider = std::function<std::string(const std::string& graph)>;

/// An engine that was loaded from a plan.
struct LoadedPlan {
  std::string graph;
  std::unique_ptr<Engine> engine;
  size_t bytes;

  /// Throws EngineError when the engine has no such tensor.
  const EngineTensor& tensor(const std::string& name) const;
};

/// The engines of one model, loaded when they are first needed, and the scratch memory that they share: only
/// one runs at a time.
class Plans {
 public:
  Plans(std::shared_ptr<EngineLibrary> library, PlanProvider provider, const ModelShape& shape);

  /// All throw EngineError when a plan cannot be used or is not of this model.
  /// The encoder is cut around its attentions: each segment but the last ends with the queries, keys and
  /// values of the next one, the last with those keys and values that the decoder's cross-attentions look at.
  LoadedPlan& encoder_segment(int32_t index);
  /// The decoder likewise: segment 0 ends with the queries, keys and values of the first
  /// layer, 2 * l + 1 stands between the attentions of layer l, 2 * l + 2 behind them; the last one ends with
  /// the logits.
  LoadedPlan& segment(int32_t index);
  int32_t segments() const { return 2 * shape_.layers + 1; }

  /// What the profiles admit: tokens of all sources of a batch together.
  Extent tokens() { return extent(encoder_segment(0), "token"); }
  /// Rows of the decoder's batch: sentences times beam size.
  Extent rows() { return extent(segment(0), "token"); }
  /// Of keys, values and everything that flows between segments but the residual.
  DataType compute_type() { return segment(0).tensor("qkv").type; }
  DataType logits_type() { return segment(segments() - 1).tensor("logits").type; }

  /// EngineLibrary::rehearse()
  void rehearse(const std::vector<EngineContext*>& contexts, cudaStream_t stream) {
    library_->rehearse(contexts, stream);
  }

  /// Memory that suffices for every engine. Loads them all.
  std::shared_ptr<cuda::DeviceBuffer> scratch();

  size_t plan_bytes() const;
  size_t scratch_bytes() const { return scratch_ ? scratch_->bytes() : 0; }

 private:
  /// A tensor that a plan must have; extents of -1 may be anything.
  struct Expected {
    std::string name;
    Shape shape;
    /// None: any.
    std::optional<DataType> type;
  };

  LoadedPlan& load(const std::string& graph, const std::vector<Expected>& expected);
  static Extent extent(const LoadedPlan& plan, const std::string& name);

  std::shared_ptr<EngineLibrary> library_;
  PlanProvider provider_;
  ModelShape shape_;
  std::map<std::string, LoadedPlan> plans_;
  std::shared_ptr<cuda::DeviceBuffer> scratch_;
};

}  // namespace nmt_trt
