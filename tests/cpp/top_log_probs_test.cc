#include "core/top_log_probs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <tuple>
#include <vector>

#include "core/errors.h"

namespace nmt_trt {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The definition, in double precision and without any cleverness.
std::vector<Candidate> naive(const std::vector<float>& logits, int32_t count, int32_t excluded) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  std::vector<int32_t> order;
  for (size_t token = 0; token < logits.size(); ++token) {
    const bool proposed = static_cast<int32_t>(token) != excluded && logits[token] > -kInfinity;
    if (proposed) order.push_back(static_cast<int32_t>(token));
  }
  const auto logit = [&logits](int32_t token) { return logits[static_cast<size_t>(token)]; };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
  std::vector<Candidate> best(static_cast<size_t>(count), Candidate{-kInfinity, 0});
  for (size_t i = 0; i < best.size() && i < order.size(); ++i) {
    best[i] = {static_cast<float>(logit(order[i]) - largest - std::log(sum)), order[i]};
  }
  return best;
}

void expect_naive(const std::vector<float>& logits, int32_t count, int32_t excluded) {
  TopLogProbs top(static_cast<int32_t>(logits.size()), count, excluded);
  std::vector<Candidate> best(static_cast<size_t>(count));
  top(logits.data(), best.data());
  const auto expected = naive(logits, count, excluded);
  for (size_t i = 0; i < best.size(); ++i) {
    ASSERT_EQ(best[i].token, expected[i].token) << "rank " << i << ", V = " << logits.size();
    if (std::isinf(expected[i].log_prob)) {
      ASSERT_EQ(best[i].log_prob, expected[i].log_prob);
    } else {
      ASSERT_NEAR(best[i].log_prob, expected[i].log_prob, 1e-6 * std::max(1.0F, -expected[i].log_prob));
    }
  }
}

class TopLogProbsShapes : public ::testing::TestWithParam<std::tuple<int32_t, int32_t>> {};

TEST_P(TopLogProbsShapes, AgreeWithTheDefinition) {
  const auto [vocab_size, count] = GetParam();
  std::mt19937 random(static_cast<uint32_t>(vocab_size * 64 + count));
  for (const float scale : {0.1F, 1.0F, 10.0F, 300.0F}) {
    std::normal_distribution<float> normal(scale, scale);
    std::vector<float> logits(static_cast<size_t>(vocab_size));
    for (float& logit : logits) logit = normal(random);
    expect_naive(logits, count, TopLogProbs::kNone);
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    expect_naive(logits, count, static_cast<int32_t>(best));
    for (size_t i = 0; i < logits.size(); i += 3) logits[i] = -kInfinity;
    if (vocab_size > 1) expect_naive(logits, count, TopLogProbs::kNone);
    std::sort(logits.begin(), logits.end());  // every element is a new best one
    expect_naive(logits, count, TopLogProbs::kNone);
    std::reverse(logits.begin(), logits.end());
    expect_naive(logits, count, TopLogProbs::kNone);
  }
}

INSTANTIATE_TEST_SUITE_P(Many, TopLogProbsShapes,
                         ::testing::Combine(::testing::Values(2, 3, 15, 16, 17, 100, 127, 128, 129, 255, 1000,
                                                              4096, 32000, 32003),
                                            ::testing::Values(1, 2, 4, 5, 31, 32)));

TEST(TopLogProbs, EqualLogitsComeByRisingToken) {
  std::vector<float> logits(300, 1.0F);
  expect_naive(logits, 8, TopLogProbs::kNone);
  expect_naive(logits, 8, 0);
  logits[299] = logits[150] = logits[7] = 2.0F;
  expect_naive(logits, 8, TopLogProbs::kNone);
}

TEST(TopLogProbs, HugeLogitsDoNotOverflow) {
  std::vector<float> logits(200, -3e38F);
  logits[40] = 3e38F;
  logits[41] = 2.9e38F;
  TopLogProbs top(200, 2, TopLogProbs::kNone);
  Candidate best[2];
  top(logits.data(), best);
  EXPECT_EQ(best[0].token, 40);
  EXPECT_EQ(best[0].log_prob, 0.0F);
  EXPECT_EQ(best[1].token, 41);
  EXPECT_FLOAT_EQ(best[1].log_prob, -1e37F);
}

TEST(TopLogProbs, RefuseNanAnywhere) {
  for (const size_t place : {0U, 15U, 127U, 128U, 200U, 255U, 256U, 299U}) {
    std::vector<float> logits(300, 1.0F);
    logits[place] = std::numeric_limits<float>::quiet_NaN();
    TopLogProbs top(300, 4, TopLogProbs::kNone);
    Candidate best[4];
    EXPECT_THROW(top(logits.data(), best), LogitsError) << "at " << place;
  }
}

TEST(TopLogProbs, RefuseInfinityAndNothing) {
  std::vector<float> logits(300, 1.0F);
  logits[280] = kInfinity;
  TopLogProbs top(300, 4, TopLogProbs::kNone);
  Candidate best[4];
  EXPECT_THROW(top(logits.data(), best), LogitsError);
  std::fill(logits.begin(), logits.end(), -kInfinity);
  EXPECT_THROW(top(logits.data(), best), LogitsError);
  logits.assign(300, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THROW(top(logits.data(), best), LogitsError);
}

TEST(TopLogProbs, KeepNothingFromOneRowToTheNext) {
  std::vector<float> first(130, 50.0F);
  std::vector<float> second(130, -50.0F);
  second[129] = -49.0F;
  TopLogProbs reused(130, 3, TopLogProbs::kNone);
  TopLogProbs fresh(130, 3, TopLogProbs::kNone);
  Candidate after[3];
  Candidate alone[3];
  reused(first.data(), after);
  reused(second.data(), after);
  fresh(second.data(), alone);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(after[i].token, alone[i].token);
    EXPECT_EQ(after[i].log_prob, alone[i].log_prob);
  }
}

}  // namespace
}  // namespace nmt_trt
