#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/options.h"

namespace nmt_trt::bindings {

/// The options that change scores, as Python gives them.
inline void set_score_options(SearchOptions& options, int32_t min_length, float repetition_penalty,
                              int32_t no_repeat_ngram, std::optional<int32_t> forced_bos,
                              std::optional<int32_t> forced_eos, std::vector<std::vector<int32_t>> bad_words,
                              std::vector<int32_t> suppress_tokens) {
  options.min_length = min_length;
  options.repetition_penalty = repetition_penalty;
  options.no_repeat_ngram = no_repeat_ngram;
  options.forced_bos = forced_bos.value_or(kNoToken);
  options.forced_eos = forced_eos.value_or(kNoToken);
  options.bad_words = std::move(bad_words);
  options.suppress_tokens = std::move(suppress_tokens);
}

}  // namespace nmt_trt::bindings
