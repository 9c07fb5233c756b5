#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "cuda/kernels/attention_layout.cuh"
#include "cuda/kernels/float_types.h"
#include "cuda/kernels/warp.h"

namespace nmt_trt::cuda {

// Positions that a group reads at once, so that their loads overlap. Shows in the order of additions.
constexpr int kTurns = 4;
constexpr float kLog2E = 1.44269504F;

/// A thread's part of one row of head_size elements, as stored.
template <typename T>
struct alignas(16) HeadPart {
  T values[kHeadPart];
};

/// Where the key and the value of a position begin.
template <typename T>
struct HeadRows {
  const T* key;
  const T* value;
};

/// Positions whose keys are `stride` elements apart, and whose values are as well: Rows of attend().
template <typename T, typename Stride>
struct SpacedRows {
  const T* keys;
  const T* values;
  Stride stride;

  __device__ int32_t find(int32_t position) const { return position; }
  __device__ HeadRows<T> at(int32_t position, int32_t) const {
    return {keys + position * stride, values + position * stride};
  }
};

/// The compiler starts the loads written before this here at the latest. It would otherwise move them behind
/// the next branch, where each would wait for the ones before it. The whole warp must come here.
__device__ inline void start_loads() { __syncwarp(); }

/// Elements past head_size repeat others; scaled_query() has zeros there. kFresh: written by a kernel that
/// this one may not have waited for before it began (dependent_launch.cuh).
template <typename Layout, bool kFresh = false, typename T>
__device__ HeadPart<T> load_part(const T* row, int32_t head_size, int lane) {
  HeadPart<T> part;
#pragma unroll
  for (int i = 0; i < kHeadPart; i += Layout::kRun) {
    const int element = Layout::element(lane, i);
    const T* from = row + (element < head_size ? element : 0);
    if constexpr (Layout::kRun == 1) {
      part.values[i] = kFresh ? __ldcg(from) : *from;
    } else {
      static_assert(Layout::kRun * sizeof(T) == sizeof(uint4));
      const auto* run = reinterpret_cast<const uint4*>(from);
      const uint4 packed = kFresh ? __ldcg(run) : *run;
      memcpy(&part.values[i], &packed, sizeof(packed));
    }
  }
  return part;
}

template <typename Layout, typename T>
__device__ void store_part(T* row, int32_t head_size, int lane, const HeadPart<T>& part) {
#pragma unroll
  for (int i = 0; i < kHeadPart; i += Layout::kRun) {
    const int element = Layout::element(lane, i);
    if (element >= head_size) continue;
    if constexpr (Layout::kRun == 1) {
      row[element] = part.values[i];
    } else {
      uint4 packed;
      memcpy(&packed, &part.values[i], sizeof(packed));
      *reinterpret_cast<uint4*>(row + element) = packed;
    }
  }
}

/// `scale` is that of the scores times log2(e): the softmax is taken in powers of 2.
template <typename Layout, typename T>
__device__ void scaled_query(const HeadPart<T>& part, int32_t head_size, int lane, float scale,
                             float (&query)[kHeadPart]) {
#pragma unroll
  for (int i = 0; i < kHeadPart; ++i) {
    query[i] = Layout::element(lane, i) < head_size ? to_float(part.values[i]) * scale : 0.0F;
  }
}

/// The product of query and key; all threads of a group get the same bits. The whole warp must take part.
template <typename Layout, typename T>
__device__ float score(const float (&query)[kHeadPart], const HeadPart<T>& key) {
  float sum = 0.0F;
#pragma unroll
  for (int i = 0; i < kHeadPart; ++i) sum = fmaf(query[i], to_float(key.values[i]), sum);
#pragma unroll
  for (int offset = Layout::kLanes / 2; offset > 0; offset /= 2) {
    sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, offset));
  }
  return sum;
}

/// 2^(score - maximum), where the maximum of nothing at all leaves 0 and not NaN.
__device__ inline float weight(float score, float maximum) {
  return exp2f(score - (maximum == -INFINITY ? 0.0F : maximum));
}

/// The attention of `kQueries` hypotheses to the positions that a group has looked at: sum = sum of 2^(score
/// - maximum), values = their values weighted so.
template <int kQueries>
struct Attended {
  float maximum[kQueries];
  float sum[kQueries];
  float values[kQueries][kHeadPart];  // of this thread

  /// To no position.
  __device__ Attended() {
#pragma unroll
    for (int q = 0; q < kQueries; ++q) {
      maximum[q] = -INFINITY;
      sum[q] = 0.0F;
#pragma unroll
      for (int i = 0; i < kHeadPart; ++i) values[q][i] = 0.0F;
    }
  }
};

/// What `Rows::find` says of the positions that a group looks at next.
struct Found {
  int32_t values[kTurns];
};

/// Groups without a position of their own take the last one, in vain: loads without branches all overlap.
template <typename Layout>
__device__ int32_t clamped_position(int32_t turn, int32_t positions) {
  return min(Layout::position(turn, static_cast<int>(threadIdx.x) / Layout::kLanes), positions - 1);
}

template <typename Layout, typename Rows>
__device__ Found find_rows(const Rows& rows, int32_t turn, int32_t positions) {
  Found found;
#pragma unroll
  for (int t = 0; t < kTurns; ++t) {
    found.values[t] = rows.find(clamped_position<Layout>(turn + t, positions));
  }
  return found;
}

/// The keys and values of a group's next kTurns positions, as a thread holds them, and what `Rows::find` says
/// of those behind them.
template <typename T>
struct Turns {
  HeadPart<T> keys[kTurns];
  HeadPart<T> values[kTurns];
  Found found;

  /// Of turn `turn` and the following, which `found` is about. Every thread of a warp must come here.
  template <typename Layout, typename Rows>
  __device__ void load(const Rows& rows, int32_t turn, int32_t positions, int32_t head_size) {
    const int lane = static_cast<int>(threadIdx.x) % Layout::kLanes;
    HeadRows<T> row[kTurns];
#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
      row[t] = rows.at(clamped_position<Layout>(turn + t, positions), found.values[t]);
    }
#pragma unroll
    for (int t = 0; t < kTurns; ++t) keys[t] = load_part<Layout>(row[t].key, head_size, lane);
#pragma unroll
    for (int t = 0; t < kTurns; ++t) values[t] = load_part<Layout>(row[t].value, head_size, lane);
    found = find_rows<Layout>(rows, turn + kTurns, positions);
    start_loads();
  }

  /// What there is to read of the first ones before attend(); nothing where there are no positions. kAll:
  /// keys and values too.
  template <typename Layout, bool kAll, typename Rows>
  __device__ void begin(const Rows& rows, int32_t positions, int32_t head_size) {
    if (positions == 0) return;
    found = find_rows<Layout>(rows, 0, positions);
    if constexpr (kAll) load<Layout>(rows, 0, positions, head_size);
  }
};

/// Attends to positions 0 to positions - 1 besides those attended to before, in an order that depends on
/// `positions` alone. Rows has find(position), an int32_t to be read from memory, and at(position, found),
/// the position's HeadRows<T>; `turns` has begun, with kAll as here. Every thread of a warp must come here
/// with the same `positions`.
template <typename Layout, bool kAll, typename T, int kQueries, typename Rows>
__device__ void attend(const float (&query)[kQueries][kHeadPart], int32_t positions, int32_t head_size,
                       const Rows& rows, Turns<T>& turns, Attended<kQueries>& attended) {
  const int group = static_cast<int>(threadIdx.x) / Layout::kLanes;
  for (int32_t turn = 0; Layout::position(turn, 0) < positions; turn += kTurns) {
    if (!kAll || turn > 0) turns.template load<Layout>(rows, turn, positions, head_size);

    // Turns that no group has a position for are passed over. The test of the first, which there always is,
    // keeps the compiler from waiting for its key before it starts the other loads.
    float scores[kTurns][kQueries];
#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
#pragma unroll
      for (int q = 0; q < kQueries; ++q) scores[t][q] = -INFINITY;
      if (Layout::position(turn + t, 0) >= positions) continue;
      const bool exists = Layout::position(turn + t, group) < positions;
#pragma unroll
      for (int q = 0; q < kQueries; ++q) {
        const float product = score<Layout>(query[q], turns.keys[t]);
        if (exists) scores[t][q] = product;
      }
    }

#pragma unroll
    for (int q = 0; q < kQueries; ++q) {
      float maximum = attended.maximum[q];
#pragma unroll
      for (int t = 0; t < kTurns; ++t) maximum = fmaxf(maximum, scores[t][q]);
      const float shrink = weight(attended.maximum[q], maximum);
      attended.maximum[q] = maximum;
      attended.sum[q] = __fmul_rn(attended.sum[q], shrink);
#pragma unroll
      for (int i = 0; i < kHeadPart; ++i) attended.values[q][i] = __fmul_rn(attended.values[q][i], shrink);
    }

#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
      if (Layout::position(turn + t, 0) >= positions) continue;
#pragma unroll
      for (int q = 0; q < kQueries; ++q) {
        const float share = weight(scores[t][q], attended.maximum[q]);
        attended.sum[q] = __fadd_rn(attended.sum[q], share);
#pragma unroll
        for (int i = 0; i < kHeadPart; ++i) {
          attended.values[q][i] = fmaf(share, to_float(turns.values[t].values[i]), attended.values[q][i]);
        }
      }
    }
  }
}

/// Shared memory in which the threads of a hypothesis bring their groups' results together.
template <typename Layout, int kQueries>
struct MergeSpace {
  static constexpr int kWarps = Layout::kThreads / kWarpSize;

  alignas(16) float values[Layout::kGroups][kQueries][Layout::kElements];
  float maxima[kQueries][kWarps];
  float sums[kQueries][Layout::kGroups];
};

/// The attention to the positions of all groups, added up in the order of the groups: write(q, element,
/// value) is called once for each element of each hypothesis, also for elements past head_size. Every thread
/// of the block must come here, once.
template <typename Layout, int kQueries, typename Write>
__device__ void merge(const Attended<kQueries>& attended, MergeSpace<Layout, kQueries>& space,
                      const Write& write) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % Layout::kLanes;
  const int group = thread / Layout::kLanes;
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    float maximum = attended.maximum[q];
#pragma unroll
    for (int offset = kWarpSize / 2; offset >= Layout::kLanes; offset /= 2) {
      maximum = fmaxf(maximum, __shfl_xor_sync(kAllLanes, maximum, offset));
    }
    if (thread % kWarpSize == 0) space.maxima[q][thread / kWarpSize] = maximum;
  }
  __syncthreads();

#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    float maximum = space.maxima[q][0];
#pragma unroll
    for (int w = 1; w < MergeSpace<Layout, kQueries>::kWarps; ++w) {
      maximum = fmaxf(maximum, space.maxima[q][w]);
    }
    const float shrink = weight(attended.maximum[q], maximum);
    if (lane == 0) space.sums[q][group] = __fmul_rn(attended.sum[q], shrink);
#pragma unroll
    for (int i = 0; i < kHeadPart; i += Layout::kStagedRun) {
      *reinterpret_cast<float4*>(&space.values[group][q][Layout::place(lane, i)]) = make_float4(
          __fmul_rn(attended.values[q][i], shrink), __fmul_rn(attended.values[q][i + 1], shrink),
          __fmul_rn(attended.values[q][i + 2], shrink), __fmul_rn(attended.values[q][i + 3], shrink));
    }
  }
  __syncthreads();

  for (int index = thread; index < kQueries * Layout::kElements; index += Layout::kThreads) {
    const int q = index / Layout::kElements;
    const int place = index % Layout::kElements;
    float sum = 0.0F;
    float value = 0.0F;
#pragma unroll
    for (int g = 0; g < Layout::kGroups; ++g) {
      sum = __fadd_rn(sum, space.sums[q][g]);
      value = __fadd_rn(value, space.values[g][q][place]);
    }
    write(q, Layout::element_at(place), value / sum);
  }
}

}  // namespace nmt_trt::cuda
