#include "core/hf_policy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support.h"

namespace nmt_trt {
namespace {

using namespace testing;

SearchOptions options_of(int32_t beam_size, float length_penalty, EarlyStopping early_stopping,
                         std::vector<int32_t> max_lengths = {10}) {
  auto options = scenario(PolicyKind::kHf, beam_size, length_penalty, std::move(max_lengths));
  options.early_stopping = early_stopping;
  return options;
}

double log_of(double probability) { return std::log(probability); }

TEST(HfPolicy, GreedyFollowsTheBestTokenToEos) {
  BeamSearch greedy(options_of(1, 1.0F, EarlyStopping::kNo));
  greedy.start(Logits().row({{kWordA, 0.6}, {kEos, 0.4}}).data());
  greedy.advance(Logits().row({{kPad, 0.6}, {kEos, 0.4}}).data());
  greedy.advance(Logits().row({{kWordB, 0.4}, {kEos, 0.6}}).data());
  EXPECT_TRUE(greedy.done());
  const auto found = greedy.results()[0];
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].tokens, (Ids{kWordA}));  // PAD was generated, and is not told
  EXPECT_NEAR(found[0].log_prob, 3 * log_of(0.6), 1e-6);
  EXPECT_NEAR(found[0].score, log_of(0.6), 1e-6);
}

// The first beam proposes EOS, A and B; with EOS in the pool the K best of the others go on.
TEST(HfPolicy, AFinishedHypothesisLeavesTheBeam) {
  BeamSearch beam(options_of(2, 0.0F, EarlyStopping::kYes));
  beam.start(Logits().row({{kEos, 0.5}, {kWordA, 0.3}, {kWordB, 0.2}}).data());
  EXPECT_FALSE(beam.done());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordA, kWordB}));
  beam.advance(Logits().row({{kEos, 0.9}, {kWordC, 0.1}}).row({{kWordA, 0.8}, {kWordC, 0.2}}).data());
  EXPECT_TRUE(beam.done());
  const auto found = beam.results()[0];
  EXPECT_EQ(found[0].tokens, (Ids{}));
  EXPECT_EQ(found[1].tokens, (Ids{kWordA}));
  EXPECT_NEAR(found[1].score, log_of(0.27), 1e-6);
}

TEST(HfPolicy, AnEosBehindTheFirstKIsPassedOver) {
  BeamSearch beam(options_of(2, 0.0F, EarlyStopping::kYes));
  beam.start(Logits().row({{kWordA, 0.5}, {kWordB, 0.3}, {kEos, 0.2}}).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordA, kWordB}));
  beam.advance(Logits().row({{kEos, 1.0}}).row({{kEos, 1.0}}).data());
  EXPECT_TRUE(beam.done());
  EXPECT_EQ(beam.results()[0][1].tokens, (Ids{kWordB}));
}

// Pool: the empty hypothesis (0.5) and A (0.3 * 0.9); the beam's best is 0.2 * 0.8 of B A.
BeamSearch with_full_pool(float length_penalty, EarlyStopping early_stopping, int32_t max_length) {
  BeamSearch beam(options_of(2, length_penalty, early_stopping, {max_length}));
  beam.start(Logits().row({{kEos, 0.5}, {kWordA, 0.3}, {kWordB, 0.2}}).data());
  beam.advance(Logits().row({{kEos, 0.9}, {kWordC, 0.1}}).row({{kWordA, 0.8}, {kWordC, 0.2}}).data());
  return beam;
}

TEST(HfPolicy, StopsWhenTheBeamCannotWin) {
  // Without a length penalty log 0.16 < log 0.27, and sums only fall.
  EXPECT_TRUE(with_full_pool(0.0F, EarlyStopping::kNo, 10).done());
  EXPECT_TRUE(with_full_pool(0.0F, EarlyStopping::kNever, 10).done());
  // log 0.16 / 2 < log 0.27 / 2 now; but / 10 it exceeds.
  EXPECT_TRUE(with_full_pool(1.0F, EarlyStopping::kNo, 10).done());
  EXPECT_FALSE(with_full_pool(1.0F, EarlyStopping::kNever, 10).done());
  EXPECT_TRUE(with_full_pool(1.0F, EarlyStopping::kNever, 2).done());
}

TEST(HfPolicy, ANegativeLengthPenaltyHopesForNoLongerOne) {
  BeamSearch beam(options_of(2, -1.0F, EarlyStopping::kNever));
  beam.start(Logits().row({{kEos, 0.5}, {kWordA, 0.3}, {kWordB, 0.2}}).data());
  beam.advance(Logits().row({{kWordC, 0.9}, {kEos, 0.1}}).row({{kEos, 0.8}, {kWordC, 0.2}}).data());
  // 2 log 0.27 exceeds the pool's 2 log 0.16; 10 log 0.27 would not.
  EXPECT_FALSE(beam.done());
}

TEST(HfPolicy, ABetterHypothesisPushesTheWorstOutOfThePool) {
  auto beam = with_full_pool(2.0F, EarlyStopping::kNever, 10);
  ASSERT_FALSE(beam.done());
  ASSERT_EQ(tokens_of(beam), (Ids{kWordA, kWordC}));  // of B and of B: 0.16 and 0.04, A C being 0.03
  beam.advance(Logits().row({{kEos, 0.9}, {kWordA, 0.1}}).row({{kWordA, 1.0}}).data());
  const auto found = beam.results()[0];
  EXPECT_EQ(found[0].tokens, (Ids{kWordB, kWordA}));
  EXPECT_NEAR(found[0].score, log_of(0.2 * 0.8 * 0.9) / 9, 1e-6);
  EXPECT_EQ(found[1].tokens, (Ids{kWordA}));
  EXPECT_NEAR(found[1].score, log_of(0.27) / 4, 1e-6);
  EXPECT_NEAR(found[1].log_prob, log_of(0.27), 1e-6);
}

TEST(HfPolicy, TheLimitFinishesTheFirstK) {
  BeamSearch beam(options_of(2, 1.0F, EarlyStopping::kNo, {2}));
  beam.start(Logits().row({{kWordA, 0.5}, {kWordB, 0.3}, {kWordC, 0.2}}).data());
  beam.advance(Logits().row({{kWordC, 0.6}, {kEos, 0.4}}).row({{kWordA, 1.0}}).data());
  EXPECT_TRUE(beam.done());
  const auto found = beam.results()[0];
  EXPECT_EQ(found[0].tokens, (Ids{kWordA, kWordC}));
  EXPECT_EQ(found[1].tokens, (Ids{kWordB, kWordA}));
}

TEST(HfPolicy, TooFewFirstTokensAreFilledUpWithWhatIsOutOfTheRunning) {
  auto options = options_of(3, 0.0F, EarlyStopping::kNo);
  options.forced_bos = kWordB;
  BeamSearch beam(options);
  beam.start(Logits().row({{kWordA, 0.9}, {kWordB, 0.1}}).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordB, kWordB, kWordB}));
  const auto row = {std::pair{kWordA, 0.4}, {kWordB, 0.3}, {kWordC, 0.2},
                    {kEos, 0.05},           {kBos, 0.03},  {kPad, 0.02}};
  beam.advance(Logits().row(row).row(row).row(row).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordA, kWordB, kWordC}));
  EXPECT_EQ(ancestry_of(beam), (Ids{0, 0, 0, 1, 0, 2}));
}

TEST(HfPolicy, WhatWasOutOfTheRunningIsNotReturned) {
  BeamSearch beam(options_of(3, 0.0F, EarlyStopping::kNo, {1}));
  beam.start(Logits().row({{kWordA, 1.0}}).data());
  ASSERT_TRUE(beam.done());
  ASSERT_EQ(beam.results()[0].size(), 1U);
  EXPECT_EQ(beam.results()[0][0].tokens, (Ids{kWordA}));
}

TEST(HfPolicy, NothingAllowedGivesOneDeadHypothesis) {
  auto options = options_of(2, 1.0F, EarlyStopping::kNo);
  options.suppress_tokens = {kWordA};
  BeamSearch beam(options);
  beam.start(Logits().row({{kWordA, 1.0}}).data());
  EXPECT_TRUE(beam.done());
  ASSERT_EQ(beam.results()[0].size(), 1U);
  EXPECT_TRUE(std::isinf(beam.results()[0][0].score));
}

TEST(HfPolicy, SentencesEndByThemselvesAndLeave) {
  BeamSearch greedy(options_of(1, 0.0F, EarlyStopping::kNo, {10, 2}));
  greedy.start(Logits().row({{kWordA, 1.0}}).row({{kWordB, 1.0}}).data());
  greedy.advance(Logits().row({{kWordB, 1.0}}).row({{kWordC, 1.0}}).data());
  EXPECT_EQ(greedy.finished_rows(), 1);
  EXPECT_EQ(greedy.compact(), (Ids{0}));
  greedy.advance(Logits().row({{kEos, 1.0}}).data());
  EXPECT_TRUE(greedy.done());
  EXPECT_EQ(greedy.results()[0][0].tokens, (Ids{kWordA, kWordB}));
  EXPECT_EQ(greedy.results()[1][0].tokens, (Ids{kWordB, kWordC}));
}

}  // namespace
}  // namespace nmt_trt
