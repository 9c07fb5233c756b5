#include "core/coverage.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support.h"

namespace nmt_trt {
namespace {

using namespace testing;

TEST(Coverage, AddsUpLogarithmsOfWhatIsCoveredInPart) {
  // Position 0: 0.5, 1: 1.25, 2: 0.25.
  EXPECT_DOUBLE_EQ(coverage({0.25F, 0.5F, 0.25F, 0.25F, 0.75F, 0.0F}, 3), std::log(0.5) + std::log(0.25));
}

TEST(Coverage, IsFiniteWhereNothingIsCovered) {
  const double least = std::log(static_cast<double>(std::numeric_limits<float>::min()));
  EXPECT_DOUBLE_EQ(coverage({1.0F, 0.0F}, 2), least);
  EXPECT_DOUBLE_EQ(coverage({}, 2), 2 * least);
}

std::vector<Hypothesis> found() {
  return {{{kWordA}, -1.0F, -1.0F, {-1.0F}, {1.0F, 0.125F}},
          {{kWordB}, -1.5F, -1.5F, {-1.5F}, {0.5F, 0.5F}},
          {{kWordC}, -2.0F, -2.0F, {-2.0F}, {1.0F, 1.0F}}};
}

SearchOptions options_of(PolicyKind policy) {
  SearchOptions options = scenario(policy, 3, 0.0F, {9, 9});
  options.source_lengths = {7, 2};
  options.coverage_penalty = 1.0F;
  options.num_hypotheses = 2;
  return options;
}

TEST(Coverage, RanksAgain) {
  auto hypotheses = found();
  settle_attention(options_of(PolicyKind::kGnmt), 1, hypotheses);
  ASSERT_EQ(hypotheses.size(), 2U);
  EXPECT_EQ(hypotheses[0].tokens, (Ids{kWordC}));
  EXPECT_EQ(hypotheses[0].score, -2.0F);
  EXPECT_EQ(hypotheses[1].tokens, (Ids{kWordB}));
  EXPECT_FLOAT_EQ(hypotheses[1].score, static_cast<float>(-1.5 + 2 * std::log(0.5)));
  EXPECT_EQ(hypotheses[1].log_prob, -1.5F);
  EXPECT_TRUE(hypotheses[1].attention.empty());
  EXPECT_TRUE(hypotheses[1].token_scores.empty());
}

TEST(Coverage, LeavesDrawsInTheirOrder) {
  auto hypotheses = found();
  settle_attention(options_of(PolicyKind::kSample), 1, hypotheses);
  EXPECT_EQ(hypotheses[0].tokens, (Ids{kWordA}));
  EXPECT_FLOAT_EQ(hypotheses[0].score, static_cast<float>(-1.0 + std::log(0.125)));
}

TEST(Coverage, LeavesWhatWasAskedFor) {
  auto hypotheses = found();
  SearchOptions options = options_of(PolicyKind::kGnmt);
  options.coverage_penalty = 0.0F;
  options.attention = options.token_scores = true;
  options.num_hypotheses = 3;
  settle_attention(options, 1, hypotheses);
  EXPECT_EQ(hypotheses[0].score, -1.0F);
  EXPECT_EQ(hypotheses[0].attention.size(), 2U);
  EXPECT_EQ(hypotheses[0].token_scores.size(), 1U);
}

}  // namespace
}  // namespace nmt_trt
