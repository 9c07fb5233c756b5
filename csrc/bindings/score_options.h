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
                              std::vector<int32_t> suppress_tokens, std::vector<int32_t> allowed_tokens) {
  options.min_length = min_length;
  options.repetition_penalty = repetition_penalty;
  options.no_repeat_ngram = no_repeat_ngram;
  options.forced_bos = forced_bos.value_or(kNoToken);
  options.forced_eos = forced_eos.value_or(kNoToken);
  options.bad_words = std::move(bad_words);
  options.suppress_tokens = std::move(suppress_tokens);
  options.allowed_tokens = std::move(allowed_tokens);
}

/// The options of policy sample, as Python gives them.
inline void set_sampling_options(SearchOptions& options, float temperature, int32_t topk, float topp,
                                 uint64_t seed, std::vector<uint64_t> sentence_numbers) {
  options.sampling_temperature = temperature;
  options.sampling_topk = topk;
  options.sampling_topp = topp;
  options.seed = seed;
  options.sentence_numbers = std::move(sentence_numbers);
}

}  // namespace nmt_trt::bindings
