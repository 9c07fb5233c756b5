#include "core/options.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/errors.h"
#include "core/length_penalty.h"

namespace nmt_trt {
namespace {

void check_range(const std::string& name, int32_t value, int32_t low, int32_t high) {
  if (value < low || value > high) {
    throw UsageError(name, "from " + std::to_string(low) + " to " + std::to_string(high),
                     std::to_string(value));
  }
}

void check_tokens(const SearchOptions& options) {
  if (options.vocab_size < 2) {
    throw UsageError("vocab_size", "at least 2", std::to_string(options.vocab_size));
  }
  const int32_t last = options.vocab_size - 1;
  check_range("eos", options.eos, 0, last);
  check_range("pad", options.pad, 0, last);
  check_range("bos", options.bos, 0, last);
  if (options.eos == options.pad) {
    throw UsageError("pad", "another token than eos", std::to_string(options.pad) + " for both");
  }
}

void check_max_lengths(const SearchOptions& options) {
  const auto& limits = options.max_lengths;
  for (size_t i = 0; i < limits.size(); ++i) {
    const std::string name = "max_lengths[" + std::to_string(i) + "]";
    if (limits[i] < 1) throw UsageError(name, "at least 1", std::to_string(limits[i]));
    if (options.policy == PolicyKind::kNemo && limits[i] != limits[0]) {
      throw UsageError(name, "that of every sentence, " + std::to_string(limits[0]) + ", with policy nemo",
                       std::to_string(limits[i]));
    }
  }
}

int32_t longest(const SearchOptions& options) {
  const auto& limits = options.max_lengths;
  return limits.empty() ? 1 : *std::max_element(limits.begin(), limits.end());
}

void check_length_penalty(const SearchOptions& options) {
  const float alpha = options.length_penalty;
  if (!std::isfinite(alpha) || alpha < 0) {
    throw UsageError("length_penalty", "a finite number, 0 or more", std::to_string(alpha));
  }
  if (!std::isfinite(LengthPenalty(alpha)(LengthPenalty::length_of(longest(options))))) {
    throw UsageError("length_penalty",
                     "small enough for ((5 + len) / 6)^length_penalty to be finite at max_lengths " +
                         std::to_string(longest(options)),
                     std::to_string(alpha));
  }
}

void check_hf_length_penalty(const SearchOptions& options) {
  const float alpha = options.length_penalty;
  const float power = std::pow(static_cast<float>(longest(options)), alpha);
  if (!std::isfinite(alpha) || !std::isnormal(power)) {
    throw UsageError("length_penalty",
                     "a number with which len^length_penalty is one in fp32 at max_lengths " +
                         std::to_string(longest(options)),
                     std::to_string(alpha));
  }
}

void check_bad_words(const SearchOptions& options) {
  for (size_t i = 0; i < options.bad_words.size(); ++i) {
    const std::string name = "bad_words[" + std::to_string(i) + "]";
    if (options.bad_words[i].empty()) throw UsageError(name, "one token or more", "none");
    for (const int32_t token : options.bad_words[i]) {
      check_range("a token of " + name, token, 0, options.vocab_size - 1);
    }
  }
}

void check_forced(const std::string& name, int32_t token, const SearchOptions& options) {
  if (token == kNoToken) return;
  check_range(name, token, 0, options.vocab_size - 1);
  const bool has_pad = options.policy != PolicyKind::kGnmt && options.policy != PolicyKind::kSample;
  if (!has_pad && token == options.pad) {
    throw UsageError(name, "another token than pad, which policies gnmt and sample never generate",
                     std::to_string(token));
  }
}

void check_suppressed(const SearchOptions& options) {
  for (const int32_t token : options.suppress_tokens) {
    check_range("a token of suppress_tokens", token, 0, options.vocab_size - 1);
    if (token == options.forced_bos || token == options.forced_eos) {
      throw UsageError("a forced token", "one that suppress_tokens does not forbid", std::to_string(token));
    }
  }
}

void check_allowed(const SearchOptions& options) {
  const auto& allowed = options.allowed_tokens;
  if (allowed.empty()) return;
  for (const int32_t token : allowed) {
    check_range("a token of allowed_tokens", token, 0, options.vocab_size - 1);
  }
  for (const int32_t forced : {options.forced_bos, options.forced_eos}) {
    if (forced == kNoToken || forced == options.eos) continue;
    if (std::find(allowed.begin(), allowed.end(), forced) == allowed.end()) {
      throw UsageError("a forced token", "one of allowed_tokens", std::to_string(forced));
    }
  }
}

void check_prefix_token(const std::string& name, int32_t token, bool last, const SearchOptions& options) {
  check_range("a token of " + name, token, 0, options.vocab_size - 1);
  if (token == options.pad) throw UsageError("a token of " + name, "another than pad", std::to_string(token));
  if (token == options.eos && !last) throw UsageError("eos in " + name, "its last token", "one before");
}

void check_target_prefix(const SearchOptions& options) {
  const auto& prefixes = options.target_prefix;
  if (!prefixes.empty() && prefixes.size() != options.max_lengths.size()) {
    throw UsageError("target_prefix", "one for each of " + std::to_string(options.max_lengths.size()),
                     std::to_string(prefixes.size()));
  }
  for (size_t i = 0; i < prefixes.size(); ++i) {
    const auto& prefix = prefixes[i];
    const std::string name = "target_prefix[" + std::to_string(i) + "]";
    if (prefix.size() > static_cast<size_t>(options.max_lengths[i])) {
      throw UsageError(
          name,
          "at most max_lengths[" + std::to_string(i) + "] tokens, " + std::to_string(options.max_lengths[i]),
          std::to_string(prefix.size()));
    }
    for (size_t step = 0; step < prefix.size(); ++step) {
      check_prefix_token(name, prefix[step], step + 1 == prefix.size(), options);
    }
  }
}

void check_sampling(const SearchOptions& options) {
  const float temperature = options.sampling_temperature;
  if (!std::isfinite(temperature) || temperature <= 0) {
    throw UsageError("sampling_temperature", "a finite number above 0", std::to_string(temperature));
  }
  if (options.sampling_topk < 0) {
    throw UsageError("sampling_topk", "0 or more", std::to_string(options.sampling_topk));
  }
  if (!(options.sampling_topp > 0 && options.sampling_topp <= 1)) {
    throw UsageError("sampling_topp", "above 0, at most 1", std::to_string(options.sampling_topp));
  }
  const auto& numbers = options.sentence_numbers;
  if (!numbers.empty() && numbers.size() != options.max_lengths.size()) {
    throw UsageError("sentence_numbers", "one for each of " + std::to_string(options.max_lengths.size()),
                     std::to_string(numbers.size()));
  }
}

void check_patience(const SearchOptions& options) {
  const float patience = options.patience;
  if (!(patience > 0 && patience <= kMaxPatience)) {
    throw UsageError("patience", "above 0, at most " + std::to_string(kMaxPatience),
                     std::to_string(patience));
  }
  if (patience != 1.0F && options.beam_size == 1) {
    throw UsageError("patience", "left alone with a beam_size of 1", std::to_string(patience));
  }
  if (patience != 1.0F && pool_places(options) < options.num_hypotheses) {
    throw UsageError("beam_size * patience",
                     "num_hypotheses " + std::to_string(options.num_hypotheses) + " at least",
                     std::to_string(pool_places(options)));
  }
}

void check_groups(const SearchOptions& options) {
  const int32_t groups = options.beam_groups;
  if (groups < 1 || options.beam_size % groups != 0) {
    throw UsageError("beam_groups", "a divisor of beam_size " + std::to_string(options.beam_size),
                     std::to_string(groups));
  }
  const float penalty = options.diversity_penalty;
  if (!std::isfinite(penalty) || penalty < 0) {
    throw UsageError("diversity_penalty", "a finite number, 0 or more", std::to_string(penalty));
  }
  if (penalty != 0 && groups == 1) {
    throw UsageError("diversity_penalty", "0 without beam_groups", std::to_string(penalty));
  }
}

void check_attention(const SearchOptions& options) {
  const float beta = options.coverage_penalty;
  if (!std::isfinite(beta) || beta < 0) {
    throw UsageError("coverage_penalty", "a finite number, 0 or more", std::to_string(beta));
  }
  if (!keeps_attention(options)) return;
  const auto& lengths = options.source_lengths;
  if (lengths.size() != options.max_lengths.size()) {
    throw UsageError("source_lengths", "one for each of " + std::to_string(options.max_lengths.size()),
                     std::to_string(lengths.size()));
  }
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] >= 1) continue;
    throw UsageError("source_lengths[" + std::to_string(i) + "]", "at least 1", std::to_string(lengths[i]));
  }
}

void check_processors(const SearchOptions& options) {
  if (options.min_length < 0) throw UsageError("min_length", "0 or more", std::to_string(options.min_length));
  if (options.no_repeat_ngram < 0) {
    throw UsageError("no_repeat_ngram", "0 or more", std::to_string(options.no_repeat_ngram));
  }
  if (!std::isfinite(options.repetition_penalty) || options.repetition_penalty <= 0) {
    throw UsageError("repetition_penalty", "a finite number above 0",
                     std::to_string(options.repetition_penalty));
  }
  check_forced("forced_bos", options.forced_bos, options);
  check_forced("forced_eos", options.forced_eos, options);
  check_bad_words(options);
  check_suppressed(options);
  check_allowed(options);
}

void refuse(bool given, const std::string& name, const std::string& policies) {
  if (given) throw UsageError(name, "left alone except with policy " + policies, "a value");
}

void check_policy_has(const SearchOptions& options) {
  refuse(options.policy != PolicyKind::kHf && options.early_stopping != EarlyStopping::kNo, "early_stopping",
         "hf");
  refuse(options.policy != PolicyKind::kHf && options.patience != 1.0F, "patience", "hf");
  refuse(options.policy != PolicyKind::kGnmt && options.beam_groups != 1, "beam_groups", "gnmt");
  if (options.policy != PolicyKind::kSample) {
    refuse(options.sampling_temperature != 1.0F, "sampling_temperature", "sample");
    refuse(options.sampling_topk != 0, "sampling_topk", "sample");
    refuse(options.sampling_topp != 1.0F, "sampling_topp", "sample");
    refuse(options.seed != 0, "seed", "sample");
  }
  if (options.policy != PolicyKind::kNemo) return;
  const std::string policies = "gnmt, hf or sample";
  refuse(options.coverage_penalty != 0.0F, "coverage_penalty", policies);
  refuse(!options.target_prefix.empty(), "target_prefix", policies);
  refuse(options.min_length != 0, "min_length", policies);
  refuse(options.repetition_penalty != 1.0F, "repetition_penalty", policies);
  refuse(options.no_repeat_ngram != 0, "no_repeat_ngram", policies);
  refuse(options.forced_bos != kNoToken, "forced_bos", policies);
  refuse(options.forced_eos != kNoToken, "forced_eos", policies);
  refuse(!options.bad_words.empty(), "bad_words", policies);
  refuse(!options.suppress_tokens.empty(), "suppress_tokens", policies);
  refuse(!options.allowed_tokens.empty(), "allowed_tokens", policies);
}

}  // namespace

bool keeps_attention(const SearchOptions& options) {
  return options.attention || options.coverage_penalty != 0.0F;
}

int32_t hypotheses_sought(const SearchOptions& options) {
  return options.coverage_penalty != 0.0F ? options.beam_size : options.num_hypotheses;
}

std::vector<int32_t> never_generated(const SearchOptions& options) {
  std::vector<int32_t> tokens = options.suppress_tokens;
  if (options.allowed_tokens.empty()) return tokens;
  std::vector<bool> allowed(static_cast<size_t>(options.vocab_size));
  for (const int32_t token : options.allowed_tokens) allowed[static_cast<size_t>(token)] = true;
  allowed[static_cast<size_t>(options.eos)] = true;
  for (int32_t token = 0; token < options.vocab_size; ++token) {
    if (!allowed[static_cast<size_t>(token)]) tokens.push_back(token);
  }
  return tokens;
}

int32_t pool_places(const SearchOptions& options) {
  const float places = std::round(static_cast<float>(options.beam_size) * options.patience);
  return std::max(static_cast<int32_t>(places), 1);
}

void validate(const SearchOptions& options) {
  check_range("beam_size", options.beam_size, 1, kMaxBeamSize);
  check_range("num_hypotheses", options.num_hypotheses, 1, options.beam_size);
  check_tokens(options);
  if (options.policy == PolicyKind::kNemo && options.beam_size > options.vocab_size) {
    throw UsageError("beam_size",
                     "at most vocab_size " + std::to_string(options.vocab_size) + " with policy nemo",
                     std::to_string(options.beam_size));
  }
  check_max_lengths(options);
  if (options.policy == PolicyKind::kHf) {
    check_hf_length_penalty(options);
  } else {
    check_length_penalty(options);
  }
  check_target_prefix(options);
  check_processors(options);
  check_sampling(options);
  check_patience(options);
  check_groups(options);
  check_attention(options);
  check_policy_has(options);
}

}  // namespace nmt_trt
