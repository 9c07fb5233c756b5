#pragma once

#include <cstdint>
#include <vector>

namespace nmt_trt {

/// A translation found by the search.
struct Hypothesis {
  /// Generated tokens without EOS and PAD.
  std::vector<int32_t> tokens;
  /// Normalised score, the one that ranks: log_prob / ((5 + len) / 6)^length_penalty, or with policy hf
  /// log_prob / len^length_penalty; with a coverage penalty what coverage.h makes of that.
  float score;
  /// Sum of the log-probabilities of the generated tokens, EOS included, as logits processors left them.
  float log_prob;
  /// With SearchOptions::token_scores the log-probability of each generated token in its order, EOS and,
  /// where a policy generates it, PAD included, as logits processors left it. Added up in fp32 they are
  /// log_prob, but for policy nemo, which rescales that.
  std::vector<float> token_scores;
  /// With SearchOptions::attention what each of `tokens`, and then EOS where it ends them, attended to in the
  /// source when it was generated: [length, source], each row adding up to 1.
  std::vector<float> attention;
};

}  // namespace nmt_trt
