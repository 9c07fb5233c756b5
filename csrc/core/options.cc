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

void check_length_penalty(const SearchOptions& options) {
  const float alpha = options.length_penalty;
  if (!std::isfinite(alpha) || alpha < 0) {
    throw UsageError("length_penalty", "a finite number, 0 or more", std::to_string(alpha));
  }
  const auto& limits = options.max_lengths;
  const int32_t longest = limits.empty() ? 1 : *std::max_element(limits.begin(), limits.end());
  if (!std::isfinite(LengthPenalty(alpha)(LengthPenalty::length_of(longest)))) {
    throw UsageError("length_penalty",
                     "small enough for ((5 + len) / 6)^length_penalty to be finite at max_lengths " +
                         std::to_string(longest),
                     std::to_string(alpha));
  }
}

}  // namespace

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
  check_length_penalty(options);
}

}  // namespace nmt_trt
