#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/linear_parts.cuh"
#include "cuda/kernels/many_rows.cuh"
#include "cuda/kernels/warp_row.cuh"
#include "cuda/linear.h"

namespace nmt_trt::cuda {

/// A row of a linear layer's input as the weights are multiplied by it, by one warp: four columns at a time
/// go to place(first of them), 8-byte aligned.
template <typename T, typename Place>
__device__ void round_row(const Normalized& input, int inputs, int row, int lane, const Place& place) {
  WarpRow values;
  values.load(input.stream + static_cast<int64_t>(row) * inputs, inputs, lane);
  if (input.norm.gain != nullptr) values.normalize(input.norm, inputs, lane);
  WarpRow::for_each_part(inputs, lane, [&](int p, int column) {
    const float4& part = values.parts[p];
    T* to = place(column);
    store_rounded(to, make_float4(part.x * input.factor, part.y * input.factor, part.z * input.factor,
                                  part.w * input.factor));
  });
}

constexpr int kRoundingWarps = 2;

/// rounded: [rows, inputs], columns at their rounded_place().
template <typename T>
__global__ void __launch_bounds__(kRoundingWarps* kWarpSize)
    round_rows_kernel(const Normalized input, int32_t inputs, int32_t rows, T* rounded) {
  let_next_kernel_begin();
  wait_for_earlier_kernels();
  const int row = static_cast<int>(blockIdx.x) * kRoundingWarps + static_cast<int>(threadIdx.x) / kWarpSize;
  if (row >= rows) return;
  T* to = rounded + static_cast<int64_t>(row) * inputs;
  round_row<T>(input, inputs, row, static_cast<int>(threadIdx.x) % kWarpSize,
               [to](int column) { return to + rounded_place(column); });
}

template <typename T>
void round_rows(const Normalized& input, int32_t inputs, int32_t rows, T* rounded, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned int>((rows - 1) / kRoundingWarps + 1);
  launch_early(round_rows_kernel<T>, blocks, kRoundingWarps * kWarpSize, 0, stream, input, inputs, rows,
               rounded);
}

}  // namespace nmt_trt::cuda
