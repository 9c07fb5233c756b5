#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/kernels/order.h"

namespace nmt_trt::cuda {

/// How a row of logits is shared out: a warp makes a list of consecutive tiles' best tokens. Depends on V
/// alone, since it shows in the order of additions.
struct RowSplit {
  static constexpr int32_t kTile = 1024;  // logits
  static constexpr int32_t kWarps = 4;
  static constexpr int32_t kMaxLists = 128;

  int32_t lists;  // a multiple of kWarps, at most kMaxLists; the last ones may have no tiles
  int32_t tiles;  // of each list

  NMT_TRT_HOST_DEVICE int32_t blocks() const { return lists / kWarps; }

  /// call(first token) for each tile of a list.
  template <typename Call>
  __device__ void for_tiles(int32_t list, uint32_t vocab_size, const Call& call) const {
    for (int32_t i = 0; i < tiles; ++i) {
      const uint32_t first = static_cast<uint32_t>(list * tiles + i) * kTile;
      if (first >= vocab_size) return;
      call(first);
    }
  }

  NMT_TRT_HOST_DEVICE static RowSplit of(int32_t vocab_size) {
    const int32_t all_tiles = (vocab_size - 1) / kTile + 1;
    const int32_t tiles = (all_tiles - 1) / kMaxLists + 1;
    const int32_t used_lists = (all_tiles - 1) / tiles + 1;
    return {(used_lists + kWarps - 1) / kWarps * kWarps, tiles};
  }
};

/// A token among the best of a list: order_key() of its logit. {0, ...} for none.
struct RankedToken {
  uint32_t key;
  uint32_t token;

  /// By falling logit, equal ones by rising token.
  NMT_TRT_HOST_DEVICE bool before(const RankedToken& other) const {
    return key > other.key || (key == other.key && token < other.token);
  }
};

/// exp(logit - max) summed.
struct PartialSum {
  float max;
  float sum;
};

}  // namespace nmt_trt::cuda
