#pragma once

#include <cstdint>

#include "cuda/search.h"

namespace nmt_trt::cuda {

/// Whether the search looks at the logits of hypothesis k of a row of the model's batch.
__device__ inline bool row_matters(const SearchState& state, const int32_t* sentence_of_row, int32_t row,
                                   int32_t k) {
  // Two rounds of reads, not one for each question.
  const int32_t sentence = sentence_of_row[row];
  const bool first_step = *state.steps == 0;
  if (sentence < 0) return false;
  const bool finished = state.finished[sentence] != 0;
  const bool ended = state.ended[sentence * state.beam_size + k] != 0;
  const bool looked_at = first_step ? k == 0 : !ended || state.policy == PolicyKind::kNemo;
  return !finished && looked_at;
}

}  // namespace nmt_trt::cuda
