#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/processors/bad_words.h"
#include "core/processors/forced_tokens.h"
#include "core/processors/min_length.h"
#include "core/processors/no_repeat_ngram.h"
#include "core/processors/repetition_penalty.h"
#include "core/score_edits.h"
#include "core/top_log_probs.h"
#include "support.h"

namespace nmt_trt {
namespace {

using testing::Ids;

constexpr float kBanned = ScoreEdits::kBanned;
const std::vector<float> kLogits = {1.0F, -1.0F, 2.0F, 0.5F, -3.0F, 0.0F};

/// The tokens that a processor bans behind `history`, rising.
Ids banned_by(const LogitsProcessor& processor, const Ids& history, int32_t max_length = 100) {
  ScoreEdits scores(static_cast<int32_t>(kLogits.size()), false);
  scores.begin(kLogits.data(), 3.0);
  processor.apply({history.data(), history.size(), max_length}, scores);
  Ids banned;
  for (const auto& edit : scores.edits()) {
    if (edit.score == kBanned) banned.push_back(edit.token);
  }
  std::sort(banned.begin(), banned.end());
  return banned;
}

TEST(Processors, MinLengthCountsGeneratedTokens) {
  EXPECT_EQ(banned_by(MinLength(2, 5), {0}), (Ids{5}));
  EXPECT_EQ(banned_by(MinLength(2, 5), {0, 1}), (Ids{5}));
  EXPECT_EQ(banned_by(MinLength(2, 5), {0, 1, 1}), (Ids{}));
}

TEST(Processors, NoRepeatNgramSeesTheStartToken) {
  EXPECT_EQ(banned_by(NoRepeatNgram(1), {0, 3, 3}), (Ids{0, 3}));
  EXPECT_EQ(banned_by(NoRepeatNgram(2), {0, 3, 1, 0}), (Ids{3}));
  EXPECT_EQ(banned_by(NoRepeatNgram(2), {1, 3, 1, 4, 1}), (Ids{3, 4}));
  EXPECT_EQ(banned_by(NoRepeatNgram(3), {1, 2, 1, 2}), (Ids{1}));
  EXPECT_EQ(banned_by(NoRepeatNgram(3), {1, 2}), (Ids{}));
}

TEST(Processors, BadWordsWaitForTheirBeginning) {
  const BadWords words({{2}, {3, 1}, {4, 3, 0}, {5}}, 5);
  EXPECT_EQ(banned_by(words, {0}), (Ids{2}));
  EXPECT_EQ(banned_by(words, {0, 3}), (Ids{1, 2}));
  EXPECT_EQ(banned_by(words, {4, 3}), (Ids{0, 1, 2}));
}

TEST(Processors, RepetitionPenaltyComesOnceAToken) {
  const Ids history = {0, 1, 4, 1};
  ScoreEdits scores(6, true);
  scores.begin(kLogits.data(), 3.0);
  RepetitionPenalty(2.0F).apply({history.data(), history.size(), 9}, scores);
  ASSERT_EQ(scores.edits().size(), 3U);
  EXPECT_EQ(scores.edits()[0].score, 0.5F);
  EXPECT_EQ(scores.edits()[1].score, -2.0F);
  EXPECT_EQ(scores.edits()[2].score, -6.0F);
  EXPECT_EQ(scores.log_prob(scores.edits()[2]), -9.0F);
  ScoreEdits of_log_probs(6, false);
  of_log_probs.begin(kLogits.data(), 3.0);
  RepetitionPenalty(2.0F).apply({history.data(), history.size(), 9}, of_log_probs);
  EXPECT_EQ(of_log_probs.edits()[0].score, -4.0F);
  EXPECT_EQ(of_log_probs.log_prob(of_log_probs.edits()[0]), -4.0F);
}

TEST(Processors, ForcedTokensLeaveNothingElse) {
  const Ids history = {0, 1};
  for (const bool of_logits : {false, true}) {
    ScoreEdits scores(6, of_logits);
    scores.begin(kLogits.data(), 3.0);
    scores.ban(3);
    ForcedBos(3).apply({history.data(), 2, 3}, scores);
    EXPECT_FALSE(scores.forced());
    ForcedBos(2).apply({history.data(), 1, 3}, scores);
    EXPECT_TRUE(scores.forced());
    ForcedEos(3).apply({history.data(), 2, 2}, scores);
    ASSERT_EQ(scores.edits().size(), 1U);
    EXPECT_EQ(scores.edits()[0].token, 3);
    EXPECT_EQ(scores.log_prob(scores.edits()[0]), 0.0F);
  }
}

TEST(ScoreEdits, EveryRowBeginsWithoutThem) {
  ScoreEdits scores(6, false);
  scores.begin(kLogits.data(), 3.0);
  scores.set(2, -1.0F);
  scores.set(2, -7.0F);
  EXPECT_TRUE(scores.has(2));
  EXPECT_EQ(scores.original(2), -1.0F);
  ASSERT_EQ(scores.edits().size(), 1U);
  EXPECT_EQ(scores.edits()[0].score, -7.0F);
  scores.force(1);
  scores.begin(kLogits.data(), 3.0);
  EXPECT_FALSE(scores.has(2));
  EXPECT_FALSE(scores.has(1));
  EXPECT_TRUE(scores.edits().empty());
}

TEST(ScoreEdits, BansSomeTokensInEveryRow) {
  TopLogProbs top(6, 3, 5);
  const double normaliser = top.normaliser(kLogits.data());
  ScoreEdits scores(6, false, {2, 0, 2});
  std::vector<Candidate> best(3);
  for (int row = 0; row < 2; ++row) {
    scores.begin(kLogits.data(), normaliser);
    scores.set(2, 9.0F);
    scores.ban(0);
    scores.set(4, -0.1F);
    EXPECT_TRUE(scores.has(2));
    EXPECT_FALSE(scores.has(1));
    EXPECT_EQ(scores.log_prob(2), kBanned);
    top(kLogits.data(), normaliser, scores, best.data());
    EXPECT_EQ(best[0].token, 4);
    EXPECT_EQ(best[1].token, 3);
    EXPECT_EQ(best[2].token, 1);
  }
}

TEST(TopLogProbs, TakesEditsForTheScoresOfTheirTokens) {
  TopLogProbs top(6, 3, 5);
  const double normaliser = top.normaliser(kLogits.data());
  ScoreEdits scores(6, false);
  scores.begin(kLogits.data(), normaliser);
  scores.ban(2);
  scores.set(4, -0.1F);
  scores.set(5, -0.01F);  // excluded
  std::vector<Candidate> best(3);
  top(kLogits.data(), normaliser, scores, best.data());
  EXPECT_EQ(best[0].token, 4);
  EXPECT_EQ(best[0].log_prob, -0.1F);
  EXPECT_EQ(best[1].token, 0);
  EXPECT_NEAR(best[1].log_prob, 1.0 - normaliser, 1e-6);
  EXPECT_EQ(best[2].token, 3);
  scores.force(1);
  top(kLogits.data(), normaliser, scores, best.data());
  EXPECT_EQ(best[0].token, 1);
  EXPECT_EQ(best[0].log_prob, 0.0F);
  EXPECT_EQ(best[1].log_prob, kBanned);
}

}  // namespace
}  // namespace nmt_trt
