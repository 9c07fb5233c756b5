#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "cuda/kernels/float_types.h"
#include "cuda/kernels/order.h"
#include "cuda/kernels/row_split.h"
#include "cuda/kernels/row_sums.cuh"
#include "cuda/kernels/warp.h"
#include "cuda/token_mask.h"

namespace nmt_trt::cuda {

// One warp reads a tile of 1024 logits at a time, 32 a lane, into registers.

constexpr int kPerChain = kPerLane / kChains;
static_assert(kPerLane == kWarpSize, "a lane's logits have a bit each");
static_assert(TokenMask::kGranule == RowSplit::kTile && RowSplit::kTile == kWarpSize * kWarpSize,
              "a tile's part of a mask is a number a lane");

constexpr RankedToken kNothing = {0, 0};

/// The first of all lanes' tokens, and the lane it came from.
struct WarpChoice {
  RankedToken token;
  int lane;
};

__device__ inline WarpChoice first_of_warp(const RankedToken& mine) {
  const uint32_t key = warp_max(mine.key);
  const uint32_t token = warp_min(mine.key == key ? mine.token : UINT32_MAX);
  const uint32_t lanes = __ballot_sync(kAllLanes, mine.key == key && mine.token == token);
  return {{key, token}, __ffs(static_cast<int>(lanes)) - 1};
}

/// A tile of one row, spread over the lanes of a warp in vectors of 16 bytes.
template <typename T, bool kAligned, bool kEdits>
struct Tile {
  static constexpr int kVector = sizeof(uint4) / sizeof(T);

  const T* row;
  uint32_t first;  // token of the tile's first logit
  uint32_t vocab_size;
  uint32_t excluded;
  const uint32_t* edited;  // mask of the row, with kEdits

  __device__ uint32_t token_of(int lane, int element) const {
    return first +
           static_cast<uint32_t>((element / kVector * kWarpSize + lane) * kVector + element % kVector);
  }

  __device__ void load(int lane, float (&x)[kPerLane]) const {
#pragma unroll
    for (int begin = 0; begin < kPerLane; begin += kVector) {
      const uint32_t token = token_of(lane, begin);
      if constexpr (kAligned) {
        if (token < vocab_size) {
          T values[kVector];
          const uint4 packed = *reinterpret_cast<const uint4*>(row + token);
          memcpy(values, &packed, sizeof(packed));
#pragma unroll
          for (int j = 0; j < kVector; ++j) x[begin + j] = to_float(values[j]);
        } else {
#pragma unroll
          for (int j = 0; j < kVector; ++j) x[begin + j] = -INFINITY;
        }
      } else {
#pragma unroll
        for (int j = 0; j < kVector; ++j) {
          x[begin + j] = token + j < vocab_size ? to_float(row[token + j]) : -INFINITY;
        }
      }
    }
  }

  /// The best of a lane's logits x, NaN being passed over.
  __device__ RankedToken best_of(int lane, const float (&x)[kPerLane]) const {
    float best[kChains];
    int place[kChains];
#pragma unroll
    for (int chain = 0; chain < kChains; ++chain) {
      best[chain] = -INFINITY;
      place[chain] = 0;
#pragma unroll
      for (int i = chain * kPerChain; i < (chain + 1) * kPerChain; ++i) {
        if (x[i] > best[chain]) {
          best[chain] = x[i];
          place[chain] = i;
        }
      }
    }
#pragma unroll
    for (int chain = 1; chain < kChains; ++chain) {
      if (best[chain] > best[0]) {
        best[0] = best[chain];
        place[0] = place[chain];
      }
    }
    return {order_key(best[0]), token_of(lane, place[0])};
  }

  __device__ bool is_out(uint32_t token) const {
    if constexpr (kEdits) {
      if (TokenMask::has(edited, static_cast<int32_t>(token))) return true;
    }
    return token == excluded;
  }

  /// A bit for each of a lane's logits that is `least` or more.
  __device__ static uint32_t not_below(float least, const float (&x)[kPerLane]) {
    uint32_t bits = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) bits |= x[i] >= least ? 1U << static_cast<uint32_t>(i) : 0U;
    return bits;
  }

  /// Makes the logits of tokens that are out -inf; true when there are any in this tile (for all lanes).
  __device__ bool exclude(int lane, float (&x)[kPerLane]) const {
    bool any = excluded - first < RowSplit::kTile;
    if constexpr (kEdits) any = any || __any_sync(kAllLanes, edited[first / kWarpSize + lane] != 0);
    if (!any) return false;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      if (is_out(token_of(lane, i))) x[i] = -INFINITY;
    }
    return true;
  }
};

/// What a warp knows of the tiles that it has seen: the best token of each lane, and its part of the sum.
struct WarpList {
  RankedToken best = kNothing;  // of this lane
  PartialSum partial = {-INFINITY, 0.0F};

  /// x: this lane's logits of the tile; changed.
  template <typename Tile>
  __device__ void add(const Tile& tile, float (&x)[kPerLane], int lane) {
    RankedToken first = tile.best_of(lane, x);
    add_to_sum(partial, x, value_of_key(warp_max(first.key)));
    if (tile.exclude(lane, x)) first = tile.best_of(lane, x);
    if (first.before(best)) best = first;
  }

  /// The `kept` best of the lanes' tokens, in order, at most a warp's: lane i gets number i.
  __device__ RankedToken sorted(int lane, int32_t kept) const {
    RankedToken left = best;
    RankedToken mine = kNothing;
    for (int32_t i = 0; i < kept; ++i) {
      const WarpChoice choice = first_of_warp(left);
      if (choice.token.key <= kLowestKey) break;
      if (lane == i) mine = choice.token;
      if (lane == choice.lane) left = kNothing;
    }
    return mine;
  }
};

}  // namespace nmt_trt::cuda
