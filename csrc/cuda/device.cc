#include "cuda/device.h"

#include <cuda_runtime_api.h>

#include "cuda/check.h"

namespace nmt_trt::cuda {

int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

std::string why_no_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status != cudaSuccess) return cudaGetErrorString(status);
  return count == 0 ? "the driver shows no GPU" : "";
}

std::string device_name() {
  int device = 0;
  NMT_TRT_CUDA(cudaGetDevice(&device));
  cudaDeviceProp properties;
  NMT_TRT_CUDA(cudaGetDeviceProperties(&properties, device));
  return properties.name;
}

DeviceMemory device_memory() {
  DeviceMemory memory{};
  NMT_TRT_CUDA(cudaMemGetInfo(&memory.free, &memory.total));
  return memory;
}

}  // namespace nmt_trt::cuda
