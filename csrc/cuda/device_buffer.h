#pragma once

#include <cstddef>
#include <utility>

namespace nmt_trt::cuda {

/// Device memory, uninitialized.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  /// Throws OutOfMemoryError with the bytes wanted, the bytes free and what to lower; or CudaError.
  explicit DeviceBuffer(size_t bytes);
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceBuffer();

  /// 256-byte aligned; null when bytes() is 0.
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace nmt_trt::cuda
