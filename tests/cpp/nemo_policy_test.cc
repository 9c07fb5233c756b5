#include "core/nemo_policy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/errors.h"
#include "support.h"

namespace nmt_trt {
namespace {

using namespace testing;

BeamSearch search(int32_t beam_size, float length_penalty, std::vector<int32_t> max_lengths) {
  return BeamSearch(scenario(PolicyKind::kNemo, beam_size, length_penalty, std::move(max_lengths)));
}

double log_of(double probability) { return std::log(probability); }
double penalty(int length, double alpha) { return std::pow((5.0 + length) / 6.0, alpha); }

TEST(NemoPolicy, EosAsFirstTokenDoesNotEnd) {
  auto greedy = search(1, 0.6F, {10});
  greedy.start(Logits().row({{kEos, 0.6}, {kWordA, 0.4}}).data());
  EXPECT_FALSE(greedy.done());
  greedy.advance(Logits().row({{kWordA, 0.5}, {kEos, 0.3}, {kWordB, 0.2}}).data());
  EXPECT_FALSE(greedy.done());
  greedy.advance(Logits().row({{kEos, 1.0}}).data());
  EXPECT_TRUE(greedy.done());
  EXPECT_EQ(greedy.results()[0][0].tokens, (Ids{kWordA}));
}

TEST(NemoPolicy, PadIsATokenThatEnds) {
  auto greedy = search(1, 0.0F, {10});
  greedy.start(Logits().row({{kWordA, 1.0}}).data());
  greedy.advance(Logits().row({{kPad, 0.9}, {kEos, 0.1}}).data());
  EXPECT_TRUE(greedy.done());
  EXPECT_EQ(greedy.results()[0][0].tokens, (Ids{kWordA}));
  EXPECT_NEAR(greedy.results()[0][0].log_prob, log_of(0.9), 1e-6);
}

TEST(NemoPolicy, AnEndedHypothesisGoesOnWithPadForNothing) {
  auto beam = search(2, 0.0F, {10});
  beam.start(Logits().row({{kWordA, 0.6}, {kWordB, 0.4}}).data());
  beam.advance(Logits().row({{kEos, 0.9}, {kWordC, 0.1}}).row({{kWordC, 0.8}, {kEos, 0.2}}).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kEos, kWordC}));
  beam.advance(Logits().row({{kWordA, 0.5}, {kWordB, 0.5}}).row({{kEos, 0.7}, {kWordA, 0.3}}).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kPad, kEos}));
  EXPECT_TRUE(beam.done());
  const auto results = beam.results()[0];
  EXPECT_EQ(results[0].tokens, (Ids{kWordA}));
  EXPECT_NEAR(results[0].log_prob, log_of(0.54), 1e-6);
  EXPECT_EQ(results[1].tokens, (Ids{kWordB, kWordC}));
  EXPECT_NEAR(results[1].log_prob, log_of(0.32 * 0.7), 1e-6);
}

TEST(NemoPolicy, MultipliesBackByTheSlotsOldPenalty) {
  const double alpha = 1.0;
  auto beam = search(2, 1.0F, {10});
  // Both slots start with the penalty of length 3; the first then ends one word shorter than the second.
  beam.start(Logits().row({{kWordA, 0.6}, {kWordB, 0.4}}).data());
  beam.advance(Logits().row({{kEos, 0.9}, {kWordC, 0.1}}).row({{kWordC, 0.9}, {kEos, 0.1}}).data());
  EXPECT_EQ(tokens_of(beam), (Ids{kEos, kWordC}));
  // Penalties are now those of lengths 3 and 4: ended 0.54 / p3 = -0.462, continued 0.36 / p4 = -0.681.
  beam.advance(Logits().row({{kWordA, 1.0}}).row({{kEos, 1.0}}).data());
  auto results = beam.results()[0];
  EXPECT_NEAR(results[0].log_prob, log_of(0.54), 1e-6);
  EXPECT_NEAR(results[1].log_prob, log_of(0.36), 1e-6);

  auto crossing = search(2, 1.0F, {10});
  crossing.start(Logits().row({{kWordA, 0.5}, {kWordB, 0.5}}).data());
  crossing.advance(Logits()
                       .row({{kEos, 0.5}, {kWordC, 0.3}, {kBos, 0.2}})
                       .row({{kWordC, 0.4}, {kEos, 0.1}, {kBos, 0.5}})
                       .data());
  ASSERT_EQ(tokens_of(crossing), (Ids{kEos, kBos}));  // lengths 3 and 4
  // 0.25 / p3 = -1.040 against 0.25 / p4 = -0.924: the second overtakes and is multiplied by the first's p3.
  crossing.advance(Logits().row({{kWordA, 1.0}}).row({{kEos, 1.0}}).data());
  results = crossing.results()[0];
  EXPECT_EQ(results[0].tokens, (Ids{kWordB, kBos}));
  EXPECT_NEAR(results[0].log_prob, log_of(0.25) / penalty(4, alpha) * penalty(3, alpha), 1e-6);
  EXPECT_NEAR(results[0].score, results[0].log_prob / penalty(4, alpha), 1e-6);
  EXPECT_EQ(results[1].tokens, (Ids{kWordA}));
  EXPECT_NEAR(results[1].log_prob, log_of(0.25) / penalty(3, alpha) * penalty(4, alpha), 1e-6);
}

TEST(NemoPolicy, TheFirstStepCountsALengthOfThree) {
  auto beam = search(1, 1.0F, {1});
  beam.start(Logits().row({{kEos, 0.6}, {kWordA, 0.4}}).data());
  EXPECT_TRUE(beam.done());
  EXPECT_NEAR(beam.results()[0][0].score, log_of(0.6) / penalty(3, 1.0), 1e-6);
}

TEST(NemoPolicy, ABosThatIsPadDoesNotCountForTheLength) {
  auto options = scenario(PolicyKind::kNemo, 1, 1.0F, {2});
  options.bos = kPad;
  BeamSearch greedy(options);
  greedy.start(Logits().row({{kWordA, 0.5}, {kWordB, 0.5}}).data());
  greedy.advance(Logits().row({{kWordA, 0.5}, {kWordB, 0.5}}).data());
  EXPECT_NEAR(greedy.results()[0][0].score, log_of(0.25) / penalty(3, 1.0), 1e-6);
}

TEST(NemoPolicy, SentencesEndTogether) {
  auto beam = search(1, 0.6F, {10, 10});
  beam.start(Logits().row({{kWordA, 1.0}}).row({{kWordB, 1.0}}).data());
  beam.advance(Logits().row({{kEos, 1.0}}).row({{kWordC, 1.0}}).data());
  EXPECT_FALSE(beam.done());
  EXPECT_EQ(beam.finished_rows(), 0);
  EXPECT_EQ(beam.compact(), (Ids{0, 1}));
  beam.advance(Logits().row({{kWordA, 0.7}, {kWordB, 0.3}}).row({{kEos, 1.0}}).data());
  EXPECT_TRUE(beam.done());
  EXPECT_EQ(tokens_of(beam), (Ids{kPad, kEos}));
  EXPECT_EQ(beam.compact(), (Ids{0, 1}));
  EXPECT_EQ(beam.results()[0][0].tokens, (Ids{kWordA}));
  EXPECT_EQ(beam.results()[1][0].tokens, (Ids{kWordB, kWordC}));
}

TEST(NemoPolicy, EveryRowMustHoldNumbers) {
  auto beam = search(1, 0.6F, {10, 10});
  beam.start(Logits().row({{kWordA, 1.0}}).row({{kWordB, 1.0}}).data());
  beam.advance(Logits().row({{kEos, 1.0}}).row({{kWordC, 1.0}}).data());
  EXPECT_THROW(beam.advance(Logits().nan_row().row({{kEos, 1.0}}).data()), LogitsError);
}

TEST(NemoPolicy, LeaksBetweenSentencesOnly) {
  EXPECT_TRUE(search(2, 0.6F, {5, 5}).leaks());
  EXPECT_FALSE(search(2, 0.6F, {5}).leaks());
  EXPECT_FALSE(search(1, 0.6F, {5, 5}).leaks());
  EXPECT_FALSE(BeamSearch(scenario(PolicyKind::kGnmt, 2, 0.6F, {5, 5})).leaks());
}

}  // namespace
}  // namespace nmt_trt
