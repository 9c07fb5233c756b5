#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace nmt_trt::cuda {

/// Elements of a head that each thread holds.
constexpr int kHeadPart = 8;
constexpr int kMaxHeadSize = 256;

/// How `kSharers` threads share out the positions of a hypothesis, and how a group of `kGroupLanes`
/// neighbouring ones holds a vector of at most kElements elements: each thread kHeadPart of them, in runs of
/// `kRunLength`, the length of one load. Neighbouring threads hold neighbouring runs. All of it shows in the
/// order of additions.
template <int kSharers, int kGroupLanes, int kRunLength>
struct HeadLayout {
  static constexpr int kThreads = kSharers;
  static constexpr int kLanes = kGroupLanes;
  static constexpr int kRun = kRunLength;
  static constexpr int kGroups = kThreads / kLanes;
  static constexpr int kElements = kLanes * kHeadPart;
  // Floats of one access to shared memory.
  static constexpr int kStagedRun = 4;

  /// The element that is number `i` of a thread's.
  __host__ __device__ static constexpr int element(int lane, int i) {
    return (i / kRun * kLanes + lane) * kRun + i % kRun;
  }
  /// Where in shared memory, in floats, the group leaves it: without bank conflicts for runs of kStagedRun.
  __host__ __device__ static constexpr int place(int lane, int i) {
    return (i / kStagedRun * kLanes + lane) * kStagedRun + i % kStagedRun;
  }
  /// The element left at a place.
  __host__ __device__ static constexpr int element_at(int place) {
    const int lane = place / kStagedRun % kLanes;
    return element(lane, place / (kStagedRun * kLanes) * kStagedRun + place % kStagedRun);
  }
  /// The position that a group looks at in its turn number `turn`. Depends on nothing else.
  __host__ __device__ static constexpr int32_t position(int32_t turn, int group) {
    return turn * kGroups + group;
  }
};

/// The cache slot of a hypothesis' position: 0 for the start token's position 0, and for position i + 1 that
/// of the hypothesis `ancestor` whose token of step i it continues.
__host__ __device__ constexpr int32_t cache_slot(int32_t position, int32_t ancestor, int32_t beam_size) {
  return position == 0 ? 0 : position * beam_size + ancestor;
}

/// Model steps, counted from 0, for which the cache has slots and the search has an ancestry.
__host__ __device__ constexpr int32_t steps_with_room(int32_t slots, int32_t beam_size, int32_t capacity) {
  const int32_t in_cache = slots / beam_size;
  return in_cache <= capacity ? in_cache : capacity + 1;
}

}  // namespace nmt_trt::cuda
