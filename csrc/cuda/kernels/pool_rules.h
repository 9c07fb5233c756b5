#pragma once

#include <cstdint>

#include "core/finished_pool.h"
#include "cuda/kernels/order.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {

/// FinishedPool and what HfPolicy does with it: the same fp32 operations in the same order. Plain functions,
/// so that the host tests them against these classes.

/// The pool of one sentence.
struct Pool {
  PoolPlace* places;  // [size]
  int32_t size;
  int32_t count;

  NMT_TRT_HOST_DEVICE bool full() const { return count == size; }
  NMT_TRT_HOST_DEVICE float worst() const { return full() ? places[size - 1].score : FinishedPool::kAway; }

  NMT_TRT_HOST_DEVICE void offer(const PoolPlace& offered) {
    if (!(offered.score > worst())) return;
    int32_t place = full() ? count - 1 : count++;
    for (; place > 0 && places[place - 1].score < offered.score; --place) places[place] = places[place - 1];
    places[place] = offered;
  }
};

struct PoolRules {
  StopRules stop;
  int32_t eos;
  int32_t max_length;      // of the sentence
  const float* penalties;  // len^alpha by length

  NMT_TRT_HOST_DEVICE float score(float sum, int32_t length) const { return sum / penalties[length]; }

  /// Whether a hypothesis of so many tokens, the last one being `token`, is finished.
  NMT_TRT_HOST_DEVICE bool ends(int32_t token, int32_t length) const {
    return token == eos || length >= max_length;
  }

  /// Whether the sentence is done with so many tokens. best_sum: of the beam's first slot.
  NMT_TRT_HOST_DEVICE bool done(const Pool& pool, float best_sum, int32_t length) const {
    if (length >= max_length || (stop.when_full && pool.full())) return true;
    return !(score(best_sum, stop.by_limit ? max_length : length) > pool.worst());
  }
};

}  // namespace nmt_trt::cuda
