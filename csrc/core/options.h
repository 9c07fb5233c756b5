#pragma once

#include <cstdint>
#include <vector>

namespace nmt_trt {

inline constexpr int32_t kMaxBeamSize = 32;

/// Which beam search: see gnmt_policy.h and nemo_policy.h.
enum class PolicyKind { kGnmt, kNemo };

/// What one search over a batch needs to know; the names are those of Python's GenerationOptions.
struct SearchOptions {
  PolicyKind policy = PolicyKind::kGnmt;
  /// Hypotheses kept a sentence (K), 1 to kMaxBeamSize; with policy nemo at most vocab_size.
  int32_t beam_size = 1;
  /// Hypotheses returned a sentence, 1 to beam_size.
  int32_t num_hypotheses = 1;
  /// alpha of sum / ((5 + len) / 6)^alpha, 0 or more.
  float length_penalty = 0.0F;
  /// Special tokens, each from 0 to vocab_size - 1; eos and pad differ.
  int32_t eos = 0;
  int32_t pad = 0;
  int32_t bos = 0;
  /// Logits a row (V), 2 or more.
  int32_t vocab_size = 0;
  /// Most generated tokens of each sentence, EOS included and the start token excluded, 1 or more; policy
  /// nemo wants them all equal. Its size is the number of sentences.
  std::vector<int32_t> max_lengths;
};

/// Throws UsageError naming the first option that cannot be used.
void validate(const SearchOptions& options);

}  // namespace nmt_trt
