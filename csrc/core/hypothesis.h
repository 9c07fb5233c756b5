#pragma once

#include <cstdint>
#include <vector>

namespace nmt_trt {

/// A translation found by the search.
struct Hypothesis {
  /// Generated tokens without EOS and PAD.
  std::vector<int32_t> tokens;
  /// Normalised score, the one that ranks: log_prob / ((5 + len) / 6)^length_penalty, or with policy hf
  /// log_prob / len^length_penalty.
  float score;
  /// Sum of the log-probabilities of the generated tokens, EOS included, as logits processors left them.
  float log_prob;
};

}  // namespace nmt_trt
