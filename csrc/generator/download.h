#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/check.h"

namespace nmt_trt {

/// `count` numbers from the device, there when the stream has been waited for.
template <typename T>
std::vector<T> download(const T* from, size_t count, cudaStream_t stream) {
  std::vector<T> to(count);
  NMT_TRT_CUDA(cudaMemcpyAsync(to.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost, stream));
  return to;
}

/// Likewise the first `steps` columns of each of `rows` rows of `capacity`, `width` numbers a column.
template <typename T>
std::vector<T> download_steps(const T* from, size_t rows, size_t capacity, size_t steps, size_t width,
                              cudaStream_t stream) {
  std::vector<T> to(rows * steps * width);
  const size_t row = steps * width * sizeof(T);
  NMT_TRT_CUDA(cudaMemcpy2DAsync(to.data(), row, from, capacity * width * sizeof(T), row, rows,
                                 cudaMemcpyDeviceToHost, stream));
  return to;
}

}  // namespace nmt_trt
