#pragma once

#include <cstdint>
#include <vector>

#include "core/engine.h"
#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"

namespace nmt_trt::testing {

/// Logits of one step, [B, K, V] by sentence, as `type` holds them; NaN wherever the search must not look.
struct StepLogits {
  std::vector<float> values;
  /// [B, K] the hypothesis whose row this one is a copy of, or itself.
  std::vector<int32_t> origin;
};

/// Draws them for the state `before`. With `ranked` a sentence's logits are drawn again until no two
/// candidates that matter are nearly but not exactly equal, so that fp32 and double precision must agree;
/// `settled` is set to false where that does not succeed.
StepLogits draw_logits(Random& random, const SearchOptions& options, const SearchSnapshot& before,
                       DataType type, bool ranked, bool& settled);

/// The rows of the model's batch, [R, K, V], from those of the sentences; padding rows are NaN.
std::vector<float> rows_of(const std::vector<float>& by_sentence, const std::vector<int32_t>& sentence_of_row,
                           int32_t row_size);

}  // namespace nmt_trt::testing
