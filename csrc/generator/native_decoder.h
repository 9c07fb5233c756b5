#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/engine.h"
#include "cuda/device_buffer.h"
#include "cuda/linear.h"
#include "generator/model_shape.h"
#include "generator/native_source.h"

namespace nmt_trt {

/// A residual block: the linear layers before and behind what it is for, an attention or an activation.
struct NativeBlock {
  cuda::Norm norm;
  cuda::Linear in, out;
  /// What the input of `in` is multiplied by before it is rounded, and what `out` gives.
  float given_factor, result_factor;
};

/// A decoder layer.
struct NativeLayer {
  NativeBlock self_attention, cross_attention, feed_forward;
  /// Of feed_forward.
  cuda::Activated activated;
};

/// The projection to logits.
struct NativeOutput {
  cuda::Linear linear;
  float given_factor, result_factor;
};

/// All that the kernels of a decoder step need to know of a model. Pointers are the device's.
struct NativeParts {
  cuda::Embedding embedding;
  std::vector<NativeLayer> layers;
  /// Behind the last layer; without a gain where there is none.
  cuda::Norm final_norm;
  NativeOutput output;
};

/// A decoder's weights on the device, shared by its steps at all numbers of rows.
class NativeDecoder {
 public:
  /// Throws EngineError for a tensor that is not of this shape, what the providers throw, CudaError and
  /// OutOfMemoryError.
  NativeDecoder(const NativeSource& source, const ModelShape& shape, cudaStream_t stream);

  const NativeParts& parts() const { return parts_; }
  size_t bytes() const { return memory_.bytes(); }

 private:
  cuda::DeviceBuffer memory_;
  NativeParts parts_;
};

}  // namespace nmt_trt
