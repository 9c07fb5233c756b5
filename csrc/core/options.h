#pragma once

#include <cstdint>
#include <vector>

namespace nmt_trt {

inline constexpr int32_t kMaxBeamSize = 32;
inline constexpr int32_t kNoToken = -1;
inline constexpr int32_t kMaxPatience = 8;

/// Which search: see gnmt_policy.h and diverse_policy.h, nemo_policy.h, hf_policy.h and sample_policy.h.
enum class PolicyKind { kGnmt, kNemo, kHf, kSample };

/// When policy hf stops looking for better hypotheses: see hf_policy.h.
enum class EarlyStopping { kNo, kYes, kNever };

/// What one search over a batch needs to know; the names are those of Python's GenerationOptions.
struct SearchOptions {
  PolicyKind policy = PolicyKind::kGnmt;
  /// Hypotheses kept a sentence (K), 1 to kMaxBeamSize; with policy nemo at most vocab_size.
  int32_t beam_size = 1;
  /// Hypotheses returned a sentence, 1 to beam_size.
  int32_t num_hypotheses = 1;
  /// alpha of sum / ((5 + len) / 6)^alpha, 0 or more; with policy hf of sum / len^alpha, any number.
  float length_penalty = 0.0F;
  /// Policy hf only.
  EarlyStopping early_stopping = EarlyStopping::kNo;
  /// Policy hf with a beam: its pool has beam_size * patience places, rounded; num_hypotheses at least. Above
  /// 0, at most kMaxPatience.
  float patience = 1.0F;
  /// Policy gnmt only: see diverse_policy.h. A divisor of beam_size; 0 or more, and 0 without groups.
  int32_t beam_groups = 1;
  float diversity_penalty = 0.0F;
  /// Policy sample only, which draws beam_size hypotheses; see sampler.h. A temperature above 0; how many of
  /// the best tokens may come, 0 for all; the probability of those that may, above 0, at most 1.
  float sampling_temperature = 1.0F;
  int32_t sampling_topk = 0;
  float sampling_topp = 1.0F;
  uint64_t seed = 0;
  /// What each sentence's draws depend on, besides the seed; empty for 0, 1, 2, ...
  std::vector<uint64_t> sentence_numbers;
  /// Special tokens, each from 0 to vocab_size - 1; eos and pad differ.
  int32_t eos = 0;
  int32_t pad = 0;
  int32_t bos = 0;
  /// Logits a row (V), 2 or more.
  int32_t vocab_size = 0;
  /// Most generated tokens of each sentence, EOS included and the start token excluded, 1 or more; policy
  /// nemo wants them all equal. Its size is the number of sentences.
  std::vector<int32_t> max_lengths;
  /// The first generated tokens of each sentence, in place of whatever else would be generated, with the
  /// log-probabilities that the model gives them: none of them PAD, EOS only as the last, no more than its
  /// max_length. Empty for no prefixes; otherwise its size is the number of sentences. Not with policy nemo.
  std::vector<std::vector<int32_t>> target_prefix;
  /// Keep the log-probability of each generated token.
  bool token_scores = false;
  /// Keep what each generated token attends to.
  bool attention = false;
  /// beta of coverage.h, 0 or more; not with policy nemo.
  float coverage_penalty = 0.0F;
  /// Source tokens of each sentence, 1 or more; its size is the number of sentences where keeps_attention().
  std::vector<int32_t> source_lengths;

  // What follows changes the scores of next tokens (see processors/); not with policy nemo.

  /// Fewest generated tokens before EOS, 0 or more.
  int32_t min_length = 0;
  /// What the score of a token seen before is multiplied with when negative and divided by when positive,
  /// above 0; 1 is off.
  float repetition_penalty = 1.0F;
  /// Length of n-grams that may come once only; 0 is off.
  int32_t no_repeat_ngram = 0;
  /// The first generated token, and the last of a hypothesis that comes to its max_length; kNoToken is off.
  int32_t forced_bos = kNoToken;
  int32_t forced_eos = kNoToken;
  /// Sequences, none of them empty, that are never generated; EOS by itself is ignored.
  std::vector<std::vector<int32_t>> bad_words;
  /// Tokens that are never generated.
  std::vector<int32_t> suppress_tokens;
  /// Tokens that alone are generated, besides EOS; empty for all.
  std::vector<int32_t> allowed_tokens;
};

/// Whether the search needs to know what hypotheses attend to.
bool keeps_attention(const SearchOptions& options);

/// Whether it keeps the log-probability of each generated token; attention tells by them what was generated.
inline bool keeps_token_scores(const SearchOptions& options) {
  return options.token_scores || keeps_attention(options);
}

/// Hypotheses of a sentence that the search is asked for: those that are returned, or all that are ranked
/// again.
int32_t hypotheses_sought(const SearchOptions& options);

/// What suppress_tokens and allowed_tokens rule out, in any order.
std::vector<int32_t> never_generated(const SearchOptions& options);

/// Places for finished hypotheses of a sentence under policy hf.
int32_t pool_places(const SearchOptions& options);

/// Throws UsageError naming the first option that cannot be used.
void validate(const SearchOptions& options);

}  // namespace nmt_trt
