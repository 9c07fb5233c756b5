#include "cuda/device_buffer.h"

#include <cuda_runtime_api.h>

#include <string>

#include "core/errors.h"
#include "cuda/check.h"

namespace nmt_trt::cuda {
namespace {

std::string what_is_free() {
  size_t free = 0;
  size_t total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) {
    cudaGetLastError();
    return "an unknown number of bytes is free";
  }
  return std::to_string(free) + " of " + std::to_string(total) + " bytes are free";
}

}  // namespace

DeviceBuffer::DeviceBuffer(size_t bytes) {
  if (bytes == 0) return;
  const cudaError_t status = cudaMalloc(&data_, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw OutOfMemoryError("GPU memory is exhausted: " + std::to_string(bytes) + " bytes were wanted, " +
                           what_is_free() + "; lower the batch size, the beam size or the maximum length");
  }
  NMT_TRT_CUDA(status);
  bytes_ = bytes;
}

DeviceBuffer::~DeviceBuffer() { cudaFree(data_); }

}  // namespace nmt_trt::cuda
