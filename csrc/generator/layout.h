#pragma once

#include <cstddef>

#include "cuda/device_buffer.h"

namespace nmt_trt {

/// Places arrays one after the other in a single allocation.
class Layout {
 public:
  /// Offset of `bytes` bytes, aligned as TensorRT wants its tensors.
  size_t add(size_t bytes) {
    const size_t offset = bytes_;
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return offset;
  }
  template <typename T>
  size_t add(size_t count) {
    return add(count * sizeof(T));
  }
  size_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kAlignment = 256;

  size_t bytes_ = 0;
};

template <typename T>
T* at(const cuda::DeviceBuffer& buffer, size_t offset) {
  return reinterpret_cast<T*>(static_cast<std::byte*>(buffer.data()) + offset);
}

}  // namespace nmt_trt
