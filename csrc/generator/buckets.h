#pragma once

#include <cstdint>

namespace nmt_trt {

/// Shapes are rounded up, so that few of them exist: each has buffers and CUDA graphs of its own, and each
/// number of rows, and of tokens that an encoder runs on, has execution contexts.

/// What the plans admit of one dimension.
struct Extent {
  int32_t least;
  int32_t most;
};

/// 1, 2, 4, 8, ... sentences, within `admitted`.
int32_t batch_bucket(int32_t sentences, const Extent& admitted);
/// 16, 32, 64, ... source tokens, `most` at most.
int32_t source_bucket(int32_t length, int32_t most);
/// The shortest source that has this source_bucket().
int32_t shortest_source(int32_t bucket);
/// Tokens that the encoder runs on for a batch of `tokens` source tokens: `largest`, which all its sources
/// have room in, halved as long as the batch fits, but not below an eighth and not below `least`. A long
/// source among short ones makes `largest` many times the tokens that there are.
int32_t token_bucket(int32_t tokens, int32_t largest, int32_t least);
/// Generated tokens that the first cache of a batch has room for.
inline constexpr int32_t kFirstCapacity = 32;
/// The cache that takes over when one of `capacity` tokens is full.
inline int32_t next_capacity(int32_t capacity) { return 2 * capacity; }

}  // namespace nmt_trt
