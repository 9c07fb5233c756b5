#pragma once

#include <cstdint>

namespace nmt_trt::cuda {

constexpr int kWarpSize = 32;
constexpr uint32_t kAllLanes = 0xFFFFFFFFU;

/// Reductions over the 32 lanes of a warp, all of which must take part and get the result.

__device__ inline uint32_t warp_max(uint32_t value) {
#if __CUDA_ARCH__ >= 800
  return __reduce_max_sync(kAllLanes, value);
#else
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    value = max(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  return value;
#endif
}

__device__ inline uint32_t warp_min(uint32_t value) { return ~warp_max(~value); }

/// The order of additions is fixed, and the same for every lane.
template <typename T>
__device__ T warp_sum(T value) {
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2)
    value += __shfl_xor_sync(kAllLanes, value, offset);
  return value;
}

}  // namespace nmt_trt::cuda
