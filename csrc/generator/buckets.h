#pragma once

#include <cstdint>

namespace nmt_trt {

/// Shapes are rounded up, so that few of them exist: each has buffers and CUDA graphs of its own, and each
/// number of rows has execution contexts.

/// What the plans admit of one dimension.
struct Extent {
  int32_t least;
  int32_t most;
};

/// 1, 2, 4, 8, ... sentences, within `admitted`.
int32_t batch_bucket(int32_t sentences, const Extent& admitted);
/// 16, 32, 64, ... source tokens, `most` at most.
int32_t source_bucket(int32_t length, int32_t most);
/// Generated tokens that the first cache of a batch has room for.
inline constexpr int32_t kFirstCapacity = 32;
/// The cache that takes over when one of `capacity` tokens is full.
inline int32_t next_capacity(int32_t capacity) { return 2 * capacity; }

}  // namespace nmt_trt
