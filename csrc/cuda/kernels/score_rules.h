#pragma once

#include <cstdint>

#include "core/options.h"
#include "cuda/kernels/order.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {

/// The rules of core/processors, one token at a time. Plain functions, so that the host tests them against
/// the processors.

/// The start token and all generated ones of one hypothesis.
struct TokenHistory {
  const int32_t* tokens;
  int32_t size;

  NMT_TRT_HOST_DEVICE int32_t generated() const { return size - 1; }
  NMT_TRT_HOST_DEVICE bool ends_with(const int32_t* sequence, int32_t length) const {
    if (length > size) return false;
    for (int32_t i = 0; i < length; ++i) {
      if (tokens[size - length + i] != sequence[i]) return false;
    }
    return true;
  }
};

/// The token that alone may come behind so many generated ones, or kNoToken.
NMT_TRT_HOST_DEVICE inline int32_t forced_token(const ScoreRules& rules, int32_t generated,
                                                int32_t max_length) {
  if (rules.forced_eos >= 0 && generated == max_length - 1) return rules.forced_eos;
  return generated == 0 ? rules.forced_bos : kNoToken;
}

/// The token that the target prefix of a sentence has behind so many generated ones, or kNoToken.
NMT_TRT_HOST_DEVICE inline int32_t prefix_token(const ScoreState& scores, int32_t sentence, int32_t generated,
                                                int32_t capacity) {
  if (generated >= scores.rules->prefix_steps) return kNoToken;
  return scores.prefixes[int64_t{sentence} * capacity + generated];
}

/// What would repeat the n-gram that begins at `first`, or kNoToken.
NMT_TRT_HOST_DEVICE inline int32_t repeating_token(const ScoreRules& rules, const TokenHistory& history,
                                                   int32_t first) {
  const int32_t size = rules.no_repeat_ngram;
  if (size == 0 || first > history.size - size) return kNoToken;
  const int32_t* ngram = history.tokens + first;
  return history.ends_with(ngram, size - 1) ? ngram[size - 1] : kNoToken;
}

/// What would complete a bad word, or kNoToken.
NMT_TRT_HOST_DEVICE inline int32_t completing_token(const ScoreRules& rules, const TokenHistory& history,
                                                    int32_t word) {
  const int32_t begin = word == 0 ? 0 : rules.word_ends[word - 1];
  const int32_t last = rules.word_ends[word] - 1;
  return history.ends_with(rules.word_tokens + begin, last - begin) ? rules.word_tokens[last] : kNoToken;
}

/// The score of a token seen before.
NMT_TRT_HOST_DEVICE inline float penalised(float score, float penalty) {
  return score < 0 ? score * penalty : score / penalty;
}

}  // namespace nmt_trt::cuda
