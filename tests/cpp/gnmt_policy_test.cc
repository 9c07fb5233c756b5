#include <gtest/gtest.h>

#include <cmath>

#include "support.h"

namespace nmt_trt {
namespace {

using namespace testing;

BeamSearch search(int32_t beam_size, float length_penalty, int32_t max_length) {
  return BeamSearch(scenario(PolicyKind::kGnmt, beam_size, length_penalty, {max_length}));
}

float log_of(double probability) { return static_cast<float>(std::log(probability)); }

TEST(GnmtPolicy, GreedyFollowsTheBestToken) {
  auto greedy = search(1, 0.6F, 10);
  greedy.start(Logits().row({{kWordA, 0.5}, {kWordB, 0.3}, {kEos, 0.2}}).data());
  EXPECT_EQ(tokens_of(greedy), (Ids{kWordA}));
  greedy.advance(Logits().row({{kWordC, 0.7}, {kEos, 0.3}}).data());
  EXPECT_FALSE(greedy.done());
  greedy.advance(Logits().row({{kEos, 0.9}, {kWordA, 0.1}}).data());
  EXPECT_TRUE(greedy.done());
  const auto best = greedy.results()[0][0];
  EXPECT_EQ(best.tokens, (Ids{kWordA, kWordC}));
  EXPECT_NEAR(best.log_prob, log_of(0.5 * 0.7 * 0.9), 1e-6);
  EXPECT_NEAR(best.score, log_of(0.5 * 0.7 * 0.9) / std::pow(9.0 / 6.0, 0.6), 1e-6);
}

TEST(GnmtPolicy, APrefixKeepsItsLogProbability) {
  auto options = scenario(PolicyKind::kGnmt, 2, 0.0F, {10});
  options.target_prefix = {{kWordB, kWordC}};
  options.bad_words = {{kWordC}};
  options.token_scores = true;
  BeamSearch beam(options);
  beam.start(Logits().row({{kWordA, 0.9}, {kWordB, 0.1}}).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordB, kPad}));
  beam.advance(Logits().row({{kWordA, 0.8}, {kWordC, 0.2}}).nan_row().data());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordC, kPad}));
  beam.advance(Logits().row({{kEos, 0.6}, {kWordA, 0.3}, {kWordC, 0.1}}).nan_row().data());
  EXPECT_EQ(tokens_of(beam), (Ids{kEos, kWordA}));
  beam.advance(Logits().nan_row().row({{kEos, 1.0}}).data());
  EXPECT_TRUE(beam.done());
  const auto results = beam.results()[0];
  EXPECT_EQ(results[0].tokens, (Ids{kWordB, kWordC}));
  EXPECT_EQ(results[1].tokens, (Ids{kWordB, kWordC, kWordA}));
  EXPECT_NEAR(results[0].log_prob, log_of(0.1 * 0.2 * 0.6), 1e-6);
  EXPECT_NEAR(results[0].token_scores[1], log_of(0.2), 1e-6);
}

TEST(GnmtPolicy, TheBetterSumOvertakes) {
  auto beam = search(2, 0.0F, 10);
  beam.start(Logits().row({{kWordA, 0.5}, {kWordB, 0.4}, {kEos, 0.1}}).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordA, kWordB}));
  beam.advance(Logits().row({{kWordC, 0.6}, {kEos, 0.4}}).row({{kEos, 0.9}, {kWordC, 0.1}}).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kEos, kWordC}));  // 0.36 from B, 0.30 from A
  EXPECT_EQ(ancestry_of(beam), (Ids{1, 0, 0, 1}));
  // The ended hypothesis stays as it is, and its logits are not looked at.
  beam.advance(Logits().nan_row().row({{kEos, 1.0}}).data());
  EXPECT_TRUE(beam.done());
  EXPECT_EQ(tokens_of(beam), (Ids{kPad, kEos}));
  const auto results = beam.results()[0];
  EXPECT_EQ(results[0].tokens, (Ids{kWordB}));
  EXPECT_NEAR(results[0].log_prob, log_of(0.36), 1e-6);
  EXPECT_EQ(results[1].tokens, (Ids{kWordA, kWordC}));
  EXPECT_NEAR(results[1].log_prob, log_of(0.30), 1e-6);
}

TEST(GnmtPolicy, AnEndedHypothesisCanBePushedOut) {
  auto beam = search(2, 0.0F, 10);
  beam.start(Logits().row({{kWordA, 0.9}, {kEos, 0.1}}).data());
  beam.advance(Logits().row({{kWordB, 0.5}, {kWordC, 0.5}}).nan_row().data());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordB, kWordC}));
  EXPECT_EQ(ancestry_of(beam), (Ids{0, 0, 0, 1}));
}

TEST(GnmtPolicy, RanksByTheLengthOfEachCandidate) {
  // Raw sums favour EOS (0.26 against 0.25), the penalty of the longer candidate does not.
  for (const float alpha : {0.0F, 1.0F}) {
    auto beam = search(1, alpha, 10);
    beam.start(Logits().row({{kWordA, 1.0}}).data());
    beam.advance(Logits().row({{kEos, 0.26}, {kWordB, 0.25}, {kWordC, 0.24}, {kBos, 0.25}}).data());
    EXPECT_EQ(tokens_of(beam), (Ids{kEos})) << "greedy has one candidate only";
  }
  auto plain = search(2, 0.0F, 10);
  auto normalised = search(2, 1.0F, 10);
  for (auto* beam : {&plain, &normalised}) {
    beam->start(Logits().row({{kEos, 0.26}, {kWordB, 0.25}, {kWordC, 0.24}, {kBos, 0.25}}).data());
  }
  EXPECT_EQ(tokens_of(plain), (Ids{kEos, kBos}));
  EXPECT_EQ(tokens_of(normalised), (Ids{kBos, kEos}));
  const auto results = normalised.results()[0];
  EXPECT_NEAR(results[0].score, log_of(0.25) / (8.0 / 6.0), 1e-6);
  EXPECT_NEAR(results[1].score, log_of(0.26) / (7.0 / 6.0), 1e-6);
}

TEST(GnmtPolicy, EosAsFirstTokenEnds) {
  auto greedy = search(1, 0.6F, 10);
  greedy.start(Logits().row({{kEos, 0.6}, {kWordA, 0.4}}).data());
  EXPECT_TRUE(greedy.done());
  EXPECT_TRUE(greedy.results()[0][0].tokens.empty());
  EXPECT_NEAR(greedy.results()[0][0].log_prob, log_of(0.6), 1e-6);
}

TEST(GnmtPolicy, PadIsNeverGeneratedButKeepsItsProbability) {
  auto beam = search(2, 0.0F, 10);
  beam.start(Logits().row({{kPad, 0.8}, {kWordA, 0.15}, {kWordB, 0.05}}).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordA, kWordB}));
  EXPECT_NEAR(beam.results()[0][0].log_prob, log_of(0.15), 1e-6);
}

TEST(GnmtPolicy, BosIsAWord) {
  auto greedy = search(1, 0.0F, 1);
  greedy.start(Logits().row({{kBos, 1.0}}).data());
  EXPECT_EQ(greedy.results()[0][0].tokens, (Ids{kBos}));
}

TEST(GnmtPolicy, TooFewCandidatesLeaveDeadSlotsWhichComeToLife) {
  auto beam = search(4, 0.0F, 10);
  beam.start(Logits().row({{kWordA, 0.7}, {kWordB, 0.3}}).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordA, kWordB, kPad, kPad}));
  EXPECT_EQ(beam.results()[0].size(), 2U);
  beam.advance(Logits()
                   .row({{kWordC, 0.6}, {kEos, 0.4}})
                   .row({{kWordC, 0.9}, {kEos, 0.1}})
                   .nan_row()
                   .nan_row()
                   .data());
  EXPECT_EQ(tokens_of(beam), (Ids{kWordC, kEos, kWordC, kEos}));  // 0.42 0.28 0.27 0.03
  EXPECT_EQ(ancestry_of(beam), (Ids{0, 0, 0, 1, 1, 2, 1, 3}));
  EXPECT_EQ(beam.results()[0].size(), 4U);
}

TEST(GnmtPolicy, NothingButPadGivesOneDeadHypothesis) {
  auto beam = search(2, 0.6F, 10);
  beam.start(Logits().row({{kPad, 1.0}}).data());
  EXPECT_TRUE(beam.done());
  const auto results = beam.results()[0];
  ASSERT_EQ(results.size(), 1U);
  EXPECT_TRUE(results[0].tokens.empty());
  EXPECT_TRUE(std::isinf(results[0].score));
}

TEST(GnmtPolicy, TiesGoToTheLowerParentThenTheLowerToken) {
  auto beam = search(3, 0.6F, 10);
  const auto uniform = [](Logits& logits) {
    logits.row({{kBos, 0.25}, {kWordA, 0.25}, {kWordB, 0.25}, {kWordC, 0.25}});
  };
  Logits first;
  uniform(first);
  beam.start(first.data());
  EXPECT_EQ(tokens_of(beam), (Ids{kBos, kWordA, kWordB}));
  Logits next;
  for (int i = 0; i < 3; ++i) uniform(next);
  beam.advance(next.data());
  EXPECT_EQ(tokens_of(beam), (Ids{kBos, kWordA, kWordB}));
  EXPECT_EQ(ancestry_of(beam), (Ids{0, 0, 0, 1, 0, 2}));
}

TEST(GnmtPolicy, StopsAtTheLimitWithUnfinishedHypotheses) {
  auto beam = search(2, 0.0F, 2);
  beam.start(Logits().row({{kWordA, 0.6}, {kWordB, 0.4}}).data());
  EXPECT_FALSE(beam.done());
  beam.advance(Logits().row({{kWordC, 0.9}, {kEos, 0.1}}).row({{kWordC, 0.8}, {kEos, 0.2}}).data());
  EXPECT_TRUE(beam.done());
  const auto results = beam.results()[0];
  EXPECT_EQ(results[0].tokens, (Ids{kWordA, kWordC}));
  EXPECT_EQ(results[1].tokens, (Ids{kWordB, kWordC}));
}

}  // namespace
}  // namespace nmt_trt
