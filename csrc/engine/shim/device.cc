#include "engine/shim/device.h"

#include <cuda_runtime_api.h>

#include <string>

#include "core/errors.h"

namespace nmt_trt {
namespace {

/// "13.0" from 13000
std::string cuda_version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

std::string about_driver() {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "no NVIDIA driver is installed";
  return "the driver is for CUDA " + cuda_version(driver) + ", this build is for CUDA " +
         cuda_version(CUDART_VERSION);
}

}  // namespace

void require_cuda_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return;
  const std::string reason = status == cudaSuccess ? "the driver sees no GPU" : cudaGetErrorString(status);
  cudaGetLastError();
  throw EngineError("no CUDA device: " + reason + " (" + about_driver() + ")");
}

}  // namespace nmt_trt
