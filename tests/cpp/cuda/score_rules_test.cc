#include "cuda/kernels/score_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/beam.h"
#include "core/processors/processor_chain.h"
#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"
#include "cuda/random_scores.h"
#include "cuda/token_mask.h"

namespace nmt_trt {
namespace {

using namespace testing;
using cuda::ScoreRules;
using cuda::TokenHistory;

size_t size(int64_t count) { return static_cast<size_t>(count); }

/// What the kernel makes of the options for one row, token by token.
class Rules {
 public:
  explicit Rules(const SearchOptions& options) : eos_(options.eos) {
    for (const auto& word : options.bad_words) {
      if (word == std::vector<int32_t>{eos_}) continue;
      word_tokens_.insert(word_tokens_.end(), word.begin(), word.end());
      word_ends_.push_back(static_cast<int32_t>(word_tokens_.size()));
    }
    suppressed_ = never_generated(options);
    rules_ = {options.bos,
              false,
              options.min_length,
              options.repetition_penalty,
              options.no_repeat_ngram,
              options.forced_bos,
              options.forced_eos,
              static_cast<int32_t>(word_ends_.size()),
              word_ends_.data(),
              word_tokens_.data(),
              0};
  }

  int32_t forced(const TokenHistory& history, int32_t max_length) const {
    return forced_token(rules_, history.generated(), max_length);
  }

  bool bans(const TokenHistory& history, int32_t token) const {
    if (std::count(suppressed_.begin(), suppressed_.end(), token) > 0) return true;
    if (token == eos_ && history.generated() < rules_.min_length) return true;
    for (int32_t first = 0; first < history.size; ++first) {
      if (repeating_token(rules_, history, first) == token) return true;
    }
    for (int32_t word = 0; word < rules_.words; ++word) {
      if (completing_token(rules_, history, word) == token) return true;
    }
    return false;
  }

  float score(const TokenHistory& history, int32_t token, float score) const {
    const bool seen = std::count(history.tokens, history.tokens + history.size, token) > 0;
    return seen ? cuda::penalised(score, rules_.repetition_penalty) : score;
  }

 private:
  int32_t eos_;
  std::vector<int32_t> word_ends_, word_tokens_, suppressed_;
  ScoreRules rules_{};
};

void compare(uint64_t seed) {
  Random random(seed);
  const int32_t limit = random.integer(1, 12);
  SearchOptions options = search_options(PolicyKind::kGnmt, 1, random.integer(4, 12), {limit}, 0.0F);
  draw_scores(random, options);
  validate(options);
  const Rules rules(options);
  ProcessorChain chain(options, false);
  Beam beam(1, options.eos, options.pad);
  std::vector<int32_t> tokens = {options.bos};
  while (static_cast<int32_t>(tokens.size()) <= limit) {
    std::vector<float> logits(size(options.vocab_size));
    for (float& logit : logits) logit = random.bell();
    const double normaliser = 1.25;
    const ScoreEdits& edits = chain(logits.data(), normaliser, beam, 0, limit);
    const TokenHistory history = {tokens.data(), static_cast<int32_t>(tokens.size())};
    const int32_t forced = rules.forced(history, limit);
    ASSERT_EQ(edits.forced(), forced != kNoToken) << "token " << tokens.size();
    std::vector<float> scores;
    for (int32_t token = 0; token < options.vocab_size; ++token) {
      scores.push_back(edits.forced() ? ScoreEdits::kBanned : edits.original(token));
    }
    for (const int32_t token : edits.never()) scores[size(token)] = ScoreEdits::kBanned;
    for (const auto& edit : edits.edits()) scores[size(edit.token)] = edit.score;
    for (int32_t token = 0; token < options.vocab_size; ++token) {
      float expected = rules.bans(history, token) ? ScoreEdits::kBanned
                                                  : rules.score(history, token, edits.original(token));
      if (forced != kNoToken) expected = token == forced ? 0.0F : ScoreEdits::kBanned;
      ASSERT_EQ(bits_of(scores[size(token)]), bits_of(expected)) << token << " after " << tokens.size();
    }
    tokens.push_back(random.integer(0, options.vocab_size - 1));
    beam.extend({{0, tokens.back(), Slot{0.0F, 1.0F, 0, false}}});
  }
}

TEST(ScoreRules, AreThoseOfTheProcessors) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    compare(seed);
    if (HasFatalFailure()) break;
  }
}

TEST(TokenMask, HoldsWholeTilesOfBits) {
  for (const int32_t vocab_size : {2, 1023, 1024, 1025, 32000, 256206}) {
    const int64_t numbers = cuda::TokenMask::size(vocab_size);
    EXPECT_EQ(numbers % 32, 0) << vocab_size;
    EXPECT_GE(numbers * 32, vocab_size);
    EXPECT_LT(numbers * 32, vocab_size + 1024);
    EXPECT_LT(cuda::TokenMask::place(vocab_size - 1), numbers);
  }
  std::vector<uint32_t> mask(32, 0);
  mask[cuda::TokenMask::place(77)] |= cuda::TokenMask::bit(77);
  for (int32_t token = 0; token < 1024; ++token) {
    EXPECT_EQ(cuda::TokenMask::has(mask.data(), token), token == 77) << token;
  }
}

}  // namespace
}  // namespace nmt_trt
