#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/engine.h"
#include "cuda/check.h"
#include "cuda/device_buffer.h"

namespace nmt_trt::testing {

/// Skips where CUDA has no device.
class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    cudaGetLastError();
    if (status != cudaSuccess) GTEST_SKIP() << "no CUDA device: " << cudaGetErrorString(status);
    if (count == 0) GTEST_SKIP() << "the driver shows no CUDA device";
  }
};

template <typename T>
std::vector<T> download(const T* from, size_t count) {
  std::vector<T> to(count);
  NMT_TRT_CUDA(cudaMemcpy(to.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost));
  return to;
}

/// [count] on the device, every byte 0xFF at first: NaN, or numbers that are no index.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(size_t count) : buffer_(count * sizeof(T)) {
    if (count > 0) NMT_TRT_CUDA(cudaMemset(buffer_.data(), 0xFF, buffer_.bytes()));
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { upload(values); }

  // Waits for the device: cudaMemcpy may return while pageable memory is still on its way.
  void upload(const std::vector<T>& values) {
    NMT_TRT_CUDA(cudaMemcpy(data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
    NMT_TRT_CUDA(cudaDeviceSynchronize());
  }
  std::vector<T> values() const { return download(data(), size()); }
  T* data() const { return static_cast<T*>(buffer_.data()); }
  size_t size() const { return buffer_.bytes() / sizeof(T); }

 private:
  cuda::DeviceBuffer buffer_;
};

/// Numbers as a tensor of `type` holds them.
inline std::vector<std::byte> encode(const std::vector<float>& values, DataType type) {
  std::vector<std::byte> bytes(values.size() * size_of(type));
  for (size_t i = 0; i < values.size(); ++i) {
    std::byte* to = &bytes[i * size_of(type)];
    if (type == DataType::kFloat16) {
      const __half rounded = __float2half_rn(values[i]);
      std::memcpy(to, &rounded, sizeof(rounded));
    } else if (type == DataType::kBFloat16) {
      const __nv_bfloat16 rounded = __float2bfloat16_rn(values[i]);
      std::memcpy(to, &rounded, sizeof(rounded));
    } else {
      std::memcpy(to, &values[i], sizeof(float));
    }
  }
  return bytes;
}

/// The numbers that a tensor of `type` holds.
inline std::vector<float> decode(const std::vector<std::byte>& bytes, DataType type) {
  std::vector<float> values(bytes.size() / size_of(type));
  for (size_t i = 0; i < values.size(); ++i) {
    const std::byte* from = &bytes[i * size_of(type)];
    if (type == DataType::kFloat16) {
      __half value;
      std::memcpy(&value, from, sizeof(value));
      values[i] = __half2float(value);
    } else if (type == DataType::kBFloat16) {
      __nv_bfloat16 value;
      std::memcpy(&value, from, sizeof(value));
      values[i] = __bfloat162float(value);
    } else {
      std::memcpy(&values[i], from, sizeof(float));
    }
  }
  return values;
}

inline float rounded(float value, DataType type) {
  if (type == DataType::kFloat16) return __half2float(__float2half_rn(value));
  if (type == DataType::kBFloat16) return __bfloat162float(__float2bfloat16_rn(value));
  return value;
}

/// Differs between any two floats that are not the same, -0 and 0 included.
inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

}  // namespace nmt_trt::testing
