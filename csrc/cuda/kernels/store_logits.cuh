#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/kernels/linear_parts.cuh"

namespace nmt_trt::cuda {

/// What becomes of the projection's sums.
struct LogitsPlace {
  float* logits;      // [rows, outputs]
  const float* bias;  // [outputs]
  int32_t outputs, rows;
  float factor;
};

/// The sums of 16 outputs by 8 * kRowTiles rows.
template <int kRowTiles>
__device__ void store_logits(const LogitsPlace& to, int first_output, int first_row, int lane,
                             const float (&sums)[kRowTiles][4]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int output = first_output + lane_row(lane) + half * 8;
    if (output >= to.outputs) continue;
    const float bias = to.bias[output];
#pragma unroll
    for (int n = 0; n < kRowTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int row = first_row + n * kTileRows + lane % 4 * 2 + i;
        if (row >= to.rows) continue;
        to.logits[static_cast<int64_t>(row) * to.outputs + output] =
            (sums[n][half * 2 + i] + bias) * to.factor;
      }
    }
  }
}

}  // namespace nmt_trt::cuda
