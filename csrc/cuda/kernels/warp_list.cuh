#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "cuda/kernels/float_types.h"
#include "cuda/kernels/order.h"
#include "cuda/kernels/row_partials.h"
#include "cuda/kernels/row_sums.cuh"
#include "cuda/kernels/warp.h"
#include "cuda/token_mask.h"

namespace nmt_trt::cuda {

// One warp reads a tile of 1024 logits at a time, 32 a lane, into registers; finds the largest, sums the
// exponentials, and picks the C best one after the other.
//
// A warp's list has a place a lane, or two (kSlots): number i is in slot i / 32 of lane i % 32.

constexpr int kPerChain = kPerLane / kChains;
static_assert(kPerLane == kWarpSize, "a lane's logits are looked through by one lane each");
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

/// Makes `token` number `i` of a list.
template <int kSlots>
__device__ void put(RankedToken (&list)[kSlots], int32_t i, int lane, const RankedToken& token) {
#pragma unroll
  for (int j = 0; j < kSlots; ++j) {
    if (i == lane + j * kWarpSize) list[j] = token;
  }
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

  /// The best of the logits of lane `owner` that come after `last`, found by all lanes together.
  __device__ RankedToken next_of(int owner, const RankedToken& last) const {
    const uint32_t token = token_of(owner, static_cast<int>(threadIdx.x) % kWarpSize);
    RankedToken mine = kNothing;
    if (token < vocab_size && !is_out(token)) {
      const RankedToken other = {order_key(to_float(row[token])), token};
      if (last.before(other)) mine = other;
    }
    return first_of_warp(mine).token;
  }
};

/// The best tokens that a warp has seen, and its part of the sum.
template <int kSlots>
struct WarpList {
  RankedToken entries[kSlots] = {};
  PartialSum partial = {-INFINITY, 0.0F};

  /// x: this lane's logits of the tile; changed.
  template <typename Tile>
  __device__ void add(const Tile& tile, float (&x)[kPerLane], int lane, int32_t count) {
    RankedToken best = tile.best_of(lane, x);
    add_to_sum(partial, x, value_of_key(warp_max(best.key)));
    if (tile.exclude(lane, x)) best = tile.best_of(lane, x);
    pick(tile, best, lane, count);
  }

 private:
  // The best of the entries so far and of the tile become the new entries. best: the best of this lane's
  // logits.
  template <typename Tile>
  __device__ void pick(const Tile& tile, RankedToken best, int lane, int32_t count) {
    RankedToken so_far[kSlots];
#pragma unroll
    for (int j = 0; j < kSlots; ++j) {
      so_far[j] = entries[j];
      entries[j] = kNothing;
    }
    for (int32_t i = 0; i < count; ++i) {
      const bool from_tile = best.before(so_far[0]);
      const WarpChoice choice = first_of_warp(from_tile ? best : so_far[0]);
      if (choice.token.key <= kLowestKey) break;
      put(entries, i, lane, choice.token);
      if (i + 1 == count) break;
      const bool mine = lane == choice.lane;
      if (mine && !from_tile) {
#pragma unroll
        for (int j = 0; j < kSlots; ++j) so_far[j] = j + 1 < kSlots ? so_far[(j + 1) % kSlots] : kNothing;
      }
      if (__any_sync(kAllLanes, mine && from_tile)) {
        const RankedToken next = tile.next_of(choice.lane, choice.token);
        if (mine) best = next;
      }
    }
  }
};

}  // namespace nmt_trt::cuda
