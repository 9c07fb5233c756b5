#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/engine.h"
#include "cuda/device_buffer.h"
#include "generator/buckets.h"
#include "generator/model_shape.h"
#include "generator/model_source.h"
#include "generator/native_decoder.h"

namespace nmt_trt {

/// An engine that was loaded from a plan.
struct LoadedPlan {
  std::string graph;
  std::unique_ptr<Engine> engine;
  size_t bytes;

  /// Throws EngineError when the engine has no such tensor.
  const EngineTensor& tensor(const std::string& name) const;
};

/// What runs one model, loaded when it is first needed: engines and the scratch memory that they share, only
/// one running at a time; and where the decoder runs on kernels of ours, its weights in place of engines.
class Plans {
 public:
  Plans(std::shared_ptr<EngineLibrary> library, ModelSource source);

  /// All throw EngineError when a plan cannot be used or is not of this model.
  /// The encoder is cut around its attentions: each segment but the last ends with the queries, keys and
  /// values of the next one, the last with those keys and values that the decoder's cross-attentions look at.
  LoadedPlan& encoder_segment(int32_t index);
  /// The decoder likewise: segment 0 ends with the queries, keys and values of the first
  /// layer, 2 * l + 1 stands between the attentions of layer l, 2 * l + 2 behind them; the last one ends with
  /// the logits. There are none with a native_source().
  LoadedPlan& segment(int32_t index);
  int32_t segments() const { return source_.native ? 0 : 2 * source_.shape.layers + 1; }

  /// What runs the decoder in place of engines; null where they do.
  const NativeSource* native_source() const { return source_.native ? &*source_.native : nullptr; }
  /// Made of native_source(); throws what its constructor throws.
  const NativeDecoder& native_decoder(cudaStream_t stream);

  /// What the profiles admit: tokens of all sources of a batch together.
  Extent tokens() { return extent(encoder_segment(0), "token"); }
  /// Rows of the decoder's batch: sentences times beam size.
  Extent rows();
  /// Of keys, values and everything that flows between segments but the residual.
  DataType compute_type();
  DataType logits_type();

  /// EngineLibrary::rehearse()
  void rehearse(const std::vector<EngineContext*>& contexts, cudaStream_t stream) {
    library_->rehearse(contexts, stream);
  }

  /// Memory that suffices for every engine. Loads them all.
  std::shared_ptr<cuda::DeviceBuffer> scratch();

  /// Of plans as files, and of a native decoder's weights.
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
  ModelSource source_;
  std::map<std::string, LoadedPlan> plans_;
  std::unique_ptr<NativeDecoder> native_decoder_;
  std::shared_ptr<cuda::DeviceBuffer> scratch_;
};

}  // namespace nmt_trt
