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

inline unsigned int processors() {
  return static_cast<unsigned int>(device_limit(cudaDevAttrMultiProcessorCount));
}

/// Whether the device runs all blocks of a kernel at once. Throws CudaError.
template <typename Kernel>
bool runs_at_once(Kernel kernel, const dim3& blocks, const dim3& threads, size_t shared_bytes) {
  int places = 0;
  const auto together = static_cast<int>(threads.x * threads.y * threads.z);
  NMT_TRT_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&places, kernel, together, shared_bytes));
  return blocks.x * blocks.y * blocks.z <= static_cast<unsigned int>(places) * processors();
}

/// Lets a kernel have `bytes` of dynamic shared memory, which any may up to 48 KB.
template <typename Kernel>
void allow_shared(Kernel kernel, size_t bytes) {
  constexpr size_t kAlways = 48 * 1024;
  if (bytes <= kAlways) return;
  NMT_TRT_CUDA(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
}

}  // namespace nmt_trt::cuda
