#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/kernels/linear_parts.cuh"
#include "cuda/kernels/warp.h"
#include "cuda/linear.h"

namespace nmt_trt::cuda {

/// A row of at most kMaxNormalized columns in the hands of one warp, four neighbouring columns a lane and
/// part.
struct WarpRow {
  static constexpr int kRun = 4;
  static constexpr int kParts = kMaxNormalized / kRun / kWarpSize;

  float4 parts[kParts];

  /// call(part, first column) for the parts that this lane has.
  template <typename Call>
  __device__ static void for_each_part(int columns, int lane, const Call& call) {
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      const int column = (p * kWarpSize + lane) * kRun;
      if (column < columns) call(p, column);
    }
  }

  /// Of what an earlier kernel wrote.
  __device__ void load(const float* row, int columns, int lane) {
    for_each_part(columns, lane, [&](int p, int column) {
      parts[p] = __ldcg(reinterpret_cast<const float4*>(row + column));
    });
  }

  __device__ void store(float* row, int columns, int lane) const {
    for_each_part(columns, lane,
                  [&](int p, int column) { *reinterpret_cast<float4*>(row + column) = parts[p]; });
  }

  /// LayerNorm; the order of additions depends on `columns` alone.
  __device__ void normalize(const Norm& norm, int columns, int lane) {
    float sum = 0.0F;
    for_each_part(columns, lane,
                  [&](int p, int) { sum += (parts[p].x + parts[p].y) + (parts[p].z + parts[p].w); });
    const float mean = warp_sum(sum) / static_cast<float>(columns);
    float squares = 0.0F;
    for_each_part(columns, lane, [&](int p, int) {
      parts[p] = make_float4(parts[p].x - mean, parts[p].y - mean, parts[p].z - mean, parts[p].w - mean);
      squares = fmaf(parts[p].x, parts[p].x, squares);
      squares = fmaf(parts[p].y, parts[p].y, squares);
      squares = fmaf(parts[p].z, parts[p].z, squares);
      squares = fmaf(parts[p].w, parts[p].w, squares);
    });
    const float scale = rsqrtf(warp_sum(squares) / static_cast<float>(columns) + norm.epsilon);
    for_each_part(columns, lane, [&](int p, int column) {
      const float4 gain = *reinterpret_cast<const float4*>(norm.gain + column);
      const float4 shift = *reinterpret_cast<const float4*>(norm.shift + column);
      parts[p] =
          make_float4(fmaf(parts[p].x * scale, gain.x, shift.x), fmaf(parts[p].y * scale, gain.y, shift.y),
                      fmaf(parts[p].z * scale, gain.z, shift.z), fmaf(parts[p].w * scale, gain.w, shift.w));
    });
  }
};

}  // namespace nmt_trt::cuda
