#pragma once

#include <cstdint>

#include "core/top_log_probs.h"
#include "cuda/kernels/row_sums.cuh"
#include "cuda/kernels/score_rules.h"
#include "cuda/kernels/warp.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {

/// The `count` best candidates of a row, best first, in the hands of one warp: number lane + 32 * j is slot j
/// of the lane. Missing ones are {-inf, 0}.
template <int kSlots>
struct CandidateList {
  Candidate slots[kSlots];
  int32_t count;
  int lane;

  /// Log-probability that a candidate must exceed to come in.
  __device__ float worst() const {
    const int32_t last = count - 1;
    float value = __shfl_sync(kAllLanes, slots[0].log_prob, last % kWarpSize);
    if constexpr (kSlots > 1) {
      const float second = __shfl_sync(kAllLanes, slots[1].log_prob, last % kWarpSize);
      if (last >= kWarpSize) value = second;
    }
    return value;
  }

  /// Puts in a candidate above worst(), the same for all lanes, behind equal ones.
  __device__ void insert(const Candidate& candidate) {
    int32_t place = 0;
#pragma unroll
    for (int j = 0; j < kSlots; ++j) {
      place += __popc(__ballot_sync(kAllLanes, slots[j].log_prob >= candidate.log_prob));
    }
#pragma unroll
    for (int j = kSlots - 1; j >= 0; --j) {
      Candidate before = from_lane(slots[j], lane - 1);
      if (j > 0) {
        const Candidate last = from_lane(slots[j > 0 ? j - 1 : 0], kWarpSize - 1);
        if (lane == 0) before = last;
      }
      const int32_t index = lane + j * kWarpSize;
      if (index == place) slots[j] = candidate;
      if (index > place) slots[j] = before;
    }
  }

  /// `token` alone, with a score of 0.
  __device__ void force(const Candidate& candidate) {
#pragma unroll
    for (int j = 0; j < kSlots; ++j) slots[j] = lane + j == 0 ? candidate : Candidate{-INFINITY, 0};
  }

  /// What another lane gives for itself.
  __device__ static Candidate from_lane(const Candidate& candidate, int other) {
    return {__shfl_sync(kAllLanes, candidate.log_prob, other & (kWarpSize - 1)),
            __shfl_sync(kAllLanes, candidate.token, other & (kWarpSize - 1))};
  }
};

/// Puts into a row's list, made of tokens without edits, those whose scores the repetition penalty changed;
/// or the forced token, or that of a target prefix, alone. logit(token) reads the row.
template <int kSlots, typename Logit>
__device__ void put_in_edited(const SearchState& state, int32_t sentence, int32_t row, uint32_t excluded,
                              const Normaliser& normaliser, Logit logit, CandidateList<kSlots>& list) {
  const ScoreRules& rules = *state.scores.rules;
  const int32_t wanted = prefix_token(state.scores, sentence, *state.steps, state.capacity);
  if (wanted != kNoToken) return list.force({normaliser.log_prob(logit(wanted)), wanted});
  const int32_t forced = forced_token(rules, *state.steps, state.max_lengths[sentence]);
  if (forced != kNoToken) return list.force({0.0F, forced});
  const float penalty = rules.repetition_penalty;
  const int32_t* tokens = state.scores.penalised + int64_t{row} * (state.capacity + 1);
  const int32_t count = state.scores.penalised_count[row];
  for (int32_t first = 0; first < count; first += kWarpSize) {
    Candidate mine = {-INFINITY, 0};
    if (first + list.lane < count) {
      mine.token = tokens[first + list.lane];
      const float value = logit(mine.token);
      if (static_cast<uint32_t>(mine.token) != excluded) {
        mine.log_prob = rules.of_logits ? normaliser.log_prob(penalised(value, penalty))
                                        : penalised(normaliser.log_prob(value), penalty);
      }
    }
    uint32_t waiting = __ballot_sync(kAllLanes, mine.log_prob > list.worst());
    for (; waiting != 0; waiting &= waiting - 1U) {
      const Candidate next = CandidateList<kSlots>::from_lane(mine, __ffs(static_cast<int>(waiting)) - 1);
      if (next.log_prob > list.worst()) list.insert(next);
    }
  }
}

}  // namespace nmt_trt::cuda
