#pragma once

#include <cstdint>

#include "cuda/search.h"

namespace nmt_trt::cuda {

/// Whether the search looks at the logits of hypothesis k of a row of the model's batch.
__device__ inline bool row_matters(const SearchState& state, const int32_t* sentence_of_row, int32_t row,
                                   int32_t k) {
  const int32_t sentence = sentence_of_row[row];
  if (sentence < 0 || state.finished[sentence] != 0) return false;
  if (*state.steps == 0) return k == 0;
  return state.policy == PolicyKind::kNemo || state.ended[sentence * state.beam_size + k] == 0;
}

}  // namespace nmt_trt::cuda
