#pragma once

#include <cstdint>

#include "cuda/kernels/order.h"
#include "cuda/kernels/row_split.h"
#include "cuda/kernels/warp.h"

namespace nmt_trt::cuda {

/// Logits of a tile in each lane of the warp that reads it.
constexpr int kPerLane = RowSplit::kTile / kWarpSize;
// Independent chains of comparisons or additions, to hide their latency.
constexpr int kChains = 4;
/// A row's parts, of one lane of the warp that puts them together.
constexpr int kListsPerLane = RowSplit::kMaxLists / kWarpSize;

/// exp(x) for x <= 0, within 2 ulp near 0 and |x| * 1e-7 further down, where it weighs little.
__device__ inline float fast_exp(float x) {
  constexpr float kLog2E = 1.44269504F;
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x * kLog2E));
  return power;
}

/// Takes a tile into a warp's sum. x: this lane's logits; tile_max: the largest of all lanes, NaN ignored.
__device__ inline void add_to_sum(PartialSum& partial, const float (&x)[kPerLane], float tile_max) {
  const float max = fmaxf(partial.max, tile_max);
  const float shift = max == -INFINITY ? 0.0F : max;
  float sums[kChains] = {};
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) sums[i % kChains] += fast_exp(x[i] - shift);  // NaN of NaN and of +inf
  const float sum = warp_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  partial.sum = partial.sum * fast_exp(partial.max - shift) + sum;
  partial.max = max;
}

/// The sum of a whole row from its parts, of which load(list) reads one, for all lanes of a warp.
template <typename Load>
__device__ PartialSum merge_sums(int32_t lists, int lane, const Load& load) {
  PartialSum mine[kListsPerLane];
  float max = -INFINITY;
#pragma unroll
  for (int i = 0; i < kListsPerLane; ++i) {
    const int32_t list = lane + i * kWarpSize;
    mine[i] = list < lists ? load(list) : PartialSum{-INFINITY, 0.0F};
    max = fmaxf(max, mine[i].max);
  }
  max = value_of_key(warp_max(order_key(max)));
  float sum = 0.0F;
#pragma unroll
  for (int i = 0; i < kListsPerLane; ++i) {
    sum += mine[i].sum * (mine[i].max == max ? 1.0F : expf(mine[i].max - max));
  }
  return {max, warp_sum(sum)};
}

/// Logarithm of a row's sum of exponentials, in two parts.
struct Normaliser {
  float max;
  float log_sum;

  __device__ float log_prob(float logit) const { return (logit - max) - log_sum; }
};

}  // namespace nmt_trt::cuda
