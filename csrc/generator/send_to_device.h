#pragma once

#include <cuda_runtime_api.h>

#include "cuda/check.h"
#include "cuda/mapped.h"

namespace nmt_trt {

/// Copies to device memory that kernels only read. `from` must stay as it is until the stream has been waited
/// for.
template <typename T>
void send_to_device(const T* to, const cuda::Pinned<T>& from, cudaStream_t stream) {
  NMT_TRT_CUDA(
      cudaMemcpyAsync(const_cast<T*>(to), from.data(), from.bytes(), cudaMemcpyHostToDevice, stream));
}

}  // namespace nmt_trt
