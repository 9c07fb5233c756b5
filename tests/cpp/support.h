#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/beam_search.h"

namespace nmt_trt::testing {

// The vocabulary of the hand-written scenarios: three specials and three words.
inline constexpr int32_t kPad = 0;
inline constexpr int32_t kBos = 1;
inline constexpr int32_t kEos = 2;
inline constexpr int32_t kWordA = 3;
inline constexpr int32_t kWordB = 4;
inline constexpr int32_t kWordC = 5;
inline constexpr int32_t kVocabulary = 6;

inline SearchOptions scenario(PolicyKind policy, int32_t beam_size, float length_penalty,
                              std::vector<int32_t> max_lengths) {
  SearchOptions options;
  options.policy = policy;
  options.beam_size = beam_size;
  options.num_hypotheses = beam_size;
  options.length_penalty = length_penalty;
  options.eos = kEos;
  options.pad = kPad;
  options.bos = kBos;
  options.vocab_size = kVocabulary;
  options.max_lengths = std::move(max_lengths);
  return options;
}

/// Logits, row after row, written as probabilities of the tokens that have one.
class Logits {
 public:
  Logits& row(std::initializer_list<std::pair<int32_t, double>> probabilities) {
    std::vector<float> logits(kVocabulary, -std::numeric_limits<float>::infinity());
    for (const auto& [token, probability] : probabilities) {
      logits[static_cast<size_t>(token)] = static_cast<float>(std::log(probability));
    }
    values_.insert(values_.end(), logits.begin(), logits.end());
    return *this;
  }
  /// A row that must not be looked at.
  Logits& nan_row() {
    values_.insert(values_.end(), kVocabulary, std::numeric_limits<float>::quiet_NaN());
    return *this;
  }
  const float* data() const { return values_.data(); }

 private:
  std::vector<float> values_;
};

inline std::vector<int32_t> tokens_of(const BeamSearch& search) {
  std::vector<int32_t> tokens(static_cast<size_t>(search.rows() * search.options().beam_size));
  search.tokens(tokens.data());
  return tokens;
}

inline std::vector<int32_t> ancestry_of(const BeamSearch& search) {
  std::vector<int32_t> ancestry(
      static_cast<size_t>(search.rows() * search.options().beam_size * search.steps()));
  search.ancestry(ancestry.data());
  return ancestry;
}

/// The text of the E thrown by `call`, or a remark that none was.
template <typename E, typename Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

using Ids = std::vector<int32_t>;

}  // namespace nmt_trt::testing
