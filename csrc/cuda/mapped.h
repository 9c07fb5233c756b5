#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <type_traits>
#include <utility>

#include "cuda/check.h"

namespace nmt_trt::cuda {

/// Host memory that never moves, so that copies to and from the device need not wait for the host. [count],
/// zeroed.
template <typename T>
class Pinned {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Pinned() = default;
  /// Throws OutOfMemoryError or CudaError.
  explicit Pinned(size_t count) : Pinned(count, cudaHostAllocDefault) {}
  Pinned(Pinned&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Pinned& operator=(Pinned&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Pinned() { cudaFreeHost(data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  size_t bytes() const { return size_ * sizeof(T); }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }

 protected:
  Pinned(size_t count, unsigned int flags) {
    if (count == 0) return;
    NMT_TRT_CUDA(cudaHostAlloc(reinterpret_cast<void**>(&data_), count * sizeof(T), flags));
    size_ = count;
    for (size_t i = 0; i < count; ++i) data_[i] = T{};
  }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

/// One T in host memory that the device sees as well. What the device writes shows to the host through a
/// volatile access; the two must not write at the same time.
template <typename T>
class Mapped : private Pinned<T> {
 public:
  /// Throws OutOfMemoryError or CudaError.
  Mapped() : Pinned<T>(1, cudaHostAllocMapped) {
    NMT_TRT_CUDA(cudaHostGetDevicePointer(reinterpret_cast<void**>(&device_), this->data(), 0));
  }

  T* host() { return this->data(); }
  const T* host() const { return this->data(); }
  /// The address that kernels use.
  T* device() const { return device_; }

 private:
  T* device_ = nullptr;
};

}  // namespace nmt_trt::cuda
