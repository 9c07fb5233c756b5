#pragma once

#include <cstdint>

#include "cuda/kernels/float_types.h"
#include "cuda/kernels/score_rules.h"
#include "cuda/search.h"
#include "cuda/token_mask.h"

namespace nmt_trt::cuda {

/// A row of logits as score options, which change logits, leave it.
template <typename T>
struct RowScores {
  const T* logits;  // [V]
  int32_t vocab_size;
  int32_t excluded;
  // Of ScoreState, for this row; null and 0 without score options.
  const uint32_t* banned = nullptr;
  const uint32_t* edited = nullptr;
  const int32_t* penalised = nullptr;
  int32_t penalised_count = 0;
  float penalty = 1.0F;

  __device__ float logit(int32_t token) const { return to_float(logits[token]); }

  __device__ float at(int32_t token) const {
    if (token == excluded) return -INFINITY;
    if (edited == nullptr || !TokenMask::has(edited, token)) return logit(token);
    if (TokenMask::has(banned, token)) return -INFINITY;
    for (int32_t i = 0; i < penalised_count; ++i) {
      if (penalised[i] == token) return cuda::penalised(logit(token), penalty);
    }
    return -INFINITY;
  }

  /// Of row `row` of R * K, its edits having been found.
  __device__ static RowScores of(const SearchState& state, const T* logits, int64_t row) {
    RowScores scores = {logits + row * state.vocab_size, state.vocab_size, state.pad};
    if (state.scores.rules == nullptr) return scores;
    scores.banned = state.scores.banned;
    scores.edited = state.scores.edited + row * TokenMask::size(state.vocab_size);
    scores.penalised = state.scores.penalised + row * (state.capacity + 1);
    scores.penalised_count = state.scores.penalised_count[row];
    scores.penalty = state.scores.rules->repetition_penalty;
    return scores;
  }
};

}  // namespace nmt_trt::cuda
