#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "cuda/kernels/linear_parts.cuh"
#include "cuda/kernels/tensor_core.cuh"

namespace nmt_trt::cuda {

// A warp has the sums of 16 outputs by tiles of 8 rows, a row's outputs in many lanes. By way of shared
// memory they become rows of 16 outputs: 32 bytes each, whose halves change places with every fourth row, so
// that eight rows' halves lie in different banks.

constexpr int kStagedRowBytes = kTileOutputs * 2;

__device__ inline int staged_place(int row, int half) {
  return row * kStagedRowBytes + (half ^ (row / 4 % 2)) * (kStagedRowBytes / 2);
}

/// Sums rounded to T; the warp sees them behind it.
template <typename T, int kRowTiles>
__device__ void stage_rounded(const float (&sums)[kRowTiles][4], char* space, int lane) {
  static_assert(kRowTiles % 2 == 0);
#pragma unroll
  for (int n = 0; n < kRowTiles; n += 2) {
#if __CUDA_ARCH__ >= 900
    const uint32_t pairs[4] = {
        round_pair(sums[n][0], sums[n][1], T{}), round_pair(sums[n][2], sums[n][3], T{}),
        round_pair(sums[n + 1][0], sums[n + 1][1], T{}), round_pair(sums[n + 1][2], sums[n + 1][3], T{})};
    store_matrices_transposed(
        space + staged_place((n + lane / 16) * kTileRows + lane % kTileRows, lane / 8 % 2), pairs);
#else
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int row = (n + i / 4) * kTileRows + lane % 4 * 2 + i % 2;
      const uint32_t rounded = round_pair(sums[n + i / 4][i % 4], 0.0F, T{});
      std::memcpy(space + staged_place(row, i % 4 / 2) + lane_row(lane) * sizeof(T), &rounded, sizeof(T));
    }
#endif
  }
  __syncwarp();
}

/// Rows that were staged to out [rows, outputs]; outputs is a multiple of 16.
template <typename T, int kRowTiles>
__device__ void store_staged(const char* space, T* out, int rows, int outputs, int first_row,
                             int first_output, int lane) {
  if (first_output >= outputs) return;
  const int half = lane % 2;
#pragma unroll
  for (int i = 0; i < kRowTiles * kTileRows; i += kWarpSize / 2) {
    const int row = i + lane / 2;
    if (first_row + row >= rows) continue;
    T* to = out + static_cast<int64_t>(first_row + row) * outputs + first_output + half * 8;
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(space + staged_place(row, half));
  }
}

}  // namespace nmt_trt::cuda
