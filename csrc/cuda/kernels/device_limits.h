#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "cuda/check.h"

namespace nmt_trt::cuda {

/// Of the current device. Throws CudaError.
inline int device_limit(cudaDeviceAttr which) {
  int device = 0;
  int value = 0;
  NMT_TRT_CUDA(cudaGetDevice(&device));
  NMT_TRT_CUDA(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

/// Whether a block may have so much shared memory, which is asked for by allow_shared().
inline bool has_shared(size_t bytes) {
  return bytes <= static_cast<size_t>(device_limit(cudaDevAttrMaxSharedMemoryPerBlockOptin));
}

/// SMs of the current device. Throws CudaError.
inline int processors() { return device_limit(cudaDevAttrMultiProcessorCount); }

/// Lets a kernel have as much dynamic shared memory as a block may if it needs more than any has, 48 KB with
/// its static: one number for all that launch it. Throws CudaError.
template <typename Kernel>
void allow_shared(Kernel kernel, size_t bytes) {
  constexpr size_t kAlways = 48 * 1024;
  cudaFuncAttributes attributes;
  NMT_TRT_CUDA(cudaFuncGetAttributes(&attributes, kernel));
  if (bytes + attributes.sharedSizeBytes <= kAlways) return;
  const int most = device_limit(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  NMT_TRT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    most - static_cast<int>(attributes.sharedSizeBytes)));
}

}  // namespace nmt_trt::cuda
