#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "cuda/kernels/order.h"

namespace nmt_trt::cuda {

/// How a row of logits is shared out: each warp makes one list of its best tokens from consecutive tiles.
/// Depends on V alone, since it shows in the order of additions.
struct RowSplit {
  static constexpr int32_t kTile = 1024;  // logits
  static constexpr int32_t kWarps = 4;    // of a block
  static constexpr int32_t kMaxLists = 128;

  int32_t lists;  // a multiple of kWarps, at most kMaxLists
  int32_t tiles;  // of each list

  NMT_TRT_HOST_DEVICE int32_t blocks() const { return lists / kWarps; }

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

/// What the blocks of one row hand over to the last of them. Its place does not depend on the number of rows.
struct RowPartials {
  uint32_t* arrived;     // [1] blocks that have finished; 0 between launches
  PartialSum* sums;      // [lists]
  RankedToken* entries;  // [lists, C]

  static constexpr size_t kAlignment = 128;

  NMT_TRT_HOST_DEVICE static size_t bytes(const RowSplit& split, int32_t count) {
    const size_t lists = static_cast<size_t>(split.lists);
    const size_t used = sizeof(PartialSum) + lists * sizeof(PartialSum) +
                        lists * static_cast<size_t>(count) * sizeof(RankedToken);
    return (used + kAlignment - 1) / kAlignment * kAlignment;
  }

  NMT_TRT_HOST_DEVICE static RowPartials at(void* scratch, const RowSplit& split, int32_t count,
                                            int32_t row) {
    char* begin = static_cast<char*>(scratch) + bytes(split, count) * static_cast<size_t>(row);
    auto* sums = reinterpret_cast<PartialSum*>(begin) + 1;
    return {reinterpret_cast<uint32_t*>(begin), sums, reinterpret_cast<RankedToken*>(sums + split.lists)};
  }
};

}  // namespace nmt_trt::cuda
