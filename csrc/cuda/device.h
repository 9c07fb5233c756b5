#pragma once

#include <cstddef>
#include <string>

namespace nmt_trt::cuda {

/// GPUs that CUDA can use; 0 where there is no driver.
int device_count() noexcept;
/// CUDA's reason for device_count() being 0; empty when it is not.
std::string why_no_device();

/// Name of the current device. Throws CudaError.
std::string device_name();

struct DeviceMemory {
  size_t free, total;  // bytes
};

/// Memory of the current device. Throws CudaError.
DeviceMemory device_memory();

}  // namespace nmt_trt::cuda
