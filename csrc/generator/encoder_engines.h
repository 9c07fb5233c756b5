#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/engine.h"
#include "cuda/device_buffer.h"
#include "cuda/encoder_attention.h"
#include "cuda/mapped.h"
#include "generator/model_shape.h"
#include "generator/plans.h"

namespace nmt_trt {

/// The encoder's segments for one number of tokens (T), room for those of all sources of a batch together,
/// and what flows between them. Stages that encode T tokens share it: only one of them runs at a time.
class EncoderEngines {
 public:
  EncoderEngines(int32_t tokens, const ModelShape& shape, Plans& plans, cudaStream_t stream);

  /// Device memory that they take for what flows between them.
  static size_t bytes_needed(int32_t tokens, const ModelShape& shape, Plans& plans);

  /// Tokens and their positions within their sources, [T] each: pinned memory to be filled before send().
  int32_t* host_token() { return host_token_.data(); }
  int32_t* host_position() { return host_position_.data(); }
  void send(cudaStream_t stream);
  /// Reads what was sent, writes cross().
  void run(const cuda::PackedSources& sources, cudaStream_t stream);

  /// Keys, then values of a decoder layer's cross-attention, [T, 2 * hidden].
  const void* cross(int32_t layer) const { return cross_[static_cast<size_t>(layer)]; }
  size_t bytes() const { return memory_.bytes(); }

 private:
  void bind(int32_t segment, bool last, int32_t tokens);

  cuda::HeadShape heads_;
  bool causal_;
  DataType type_;
  std::shared_ptr<cuda::DeviceBuffer> scratch_;
  cuda::DeviceBuffer memory_;
  int32_t* token_;
  int32_t* position_;
  void* residual_[2];  // float32 [T, hidden], by turns input and output
  void* qkv_;          // [T, 3 * hidden]
  void* attention_;    // [T, hidden]
  std::vector<void*> cross_;
  cuda::Pinned<int32_t> host_token_, host_position_;
  std::vector<std::unique_ptr<EngineContext>> contexts_;
};

}  // namespace nmt_trt
