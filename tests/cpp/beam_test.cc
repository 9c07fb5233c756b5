#include "core/beam.h"

#include <gtest/gtest.h>

#include "support.h"

namespace nmt_trt {
namespace {

using testing::Ids;
using testing::kEos;
using testing::kPad;

Slot live(float sum) { return {sum, 1.0F, 0, false}; }
Slot ended(float sum) { return {sum, 1.0F, 0, true}; }

TEST(Beam, AncestryFollowsTheParents) {
  Beam beam(3, kEos, kPad);
  beam.extend({{0, 10, live(-1)}, {0, 11, live(-2)}, {0, 12, live(-3)}});
  EXPECT_EQ(beam.ancestry(2), (Ids{2}));
  beam.extend({{2, 20, live(-4)}, {0, 21, live(-5)}, {2, 22, live(-6)}});
  EXPECT_EQ(beam.ancestry(0), (Ids{2, 0}));
  EXPECT_EQ(beam.ancestry(1), (Ids{0, 1}));
  EXPECT_EQ(beam.ancestry(2), (Ids{2, 2}));
  beam.extend({{1, 30, live(-7)}, {0, 31, live(-8)}, {0, 32, live(-9)}});
  EXPECT_EQ(beam.ancestry(0), (Ids{0, 1, 0}));
  EXPECT_EQ(beam.ancestry(1), (Ids{2, 0, 1}));
  EXPECT_EQ(beam.last_token(1), 31);
  const auto best = beam.best(3);
  EXPECT_EQ(best[0].tokens, (Ids{10, 21, 30}));
  EXPECT_EQ(best[1].tokens, (Ids{12, 20, 31}));
  EXPECT_EQ(best[2].tokens, (Ids{12, 20, 32}));
}

TEST(Beam, IdleStepsChangeNoResult) {
  Beam beam(2, kEos, kPad);
  beam.extend({{0, 10, live(-1)}, {0, kEos, ended(-2)}});
  beam.idle();
  EXPECT_EQ(beam.ancestry(1), (Ids{1, 1}));
  EXPECT_EQ(beam.last_token(0), kPad);
  const auto best = beam.best(2);
  EXPECT_EQ(best[0].tokens, (Ids{10}));
  EXPECT_EQ(best[0].log_prob, -1.0F);
  EXPECT_TRUE(best[1].tokens.empty());
}

TEST(Beam, BestRanksByScoreAndKeepsTheOrderOfEqualOnes) {
  Beam beam(3, kEos, kPad);
  beam.extend(
      {{0, 10, {-4.0F, 1.0F, 1, false}}, {0, 11, {-6.0F, 2.0F, 1, false}}, {0, 12, {-4.0F, 1.0F, 1, false}}});
  const auto best = beam.best(2);
  ASSERT_EQ(best.size(), 2U);
  EXPECT_EQ(best[0].tokens, (Ids{11}));
  EXPECT_EQ(best[0].score, -3.0F);
  EXPECT_EQ(best[0].log_prob, -6.0F);
  EXPECT_EQ(best[1].tokens, (Ids{10}));
}

TEST(Beam, DeadSlotsAreReturnedOnlyForWantOfOthers) {
  Beam some(2, kEos, kPad);
  some.extend({{0, 10, live(-1)}, {1, kPad, Slot{}}});
  EXPECT_EQ(some.best(2).size(), 1U);
  EXPECT_FALSE(some.all_ended());
  Beam none(2, kEos, kPad);
  none.extend({{0, kPad, Slot{}}, {1, kPad, Slot{}}});
  EXPECT_TRUE(none.all_ended());
  const auto best = none.best(2);
  ASSERT_EQ(best.size(), 1U);
  EXPECT_TRUE(best[0].tokens.empty());
  EXPECT_EQ(best[0].score, -std::numeric_limits<float>::infinity());
}

TEST(Beam, KeepsScoresWhereTokensWereGenerated) {
  Beam beam(2, 2, 0, true);
  Slot open;
  open.ended = false;
  beam.extend({{0, 3, open, -0.5F}, {0, 2, Slot{}, -1.0F}});
  beam.extend({{1, 0, Slot{}}, {0, 4, open, -0.25F}});
  beam.idle();
  std::vector<float> scores;
  beam.append_scores(0, scores);
  EXPECT_EQ(scores, (std::vector<float>{-1.0F}));
  scores.clear();
  beam.append_scores(1, scores);
  EXPECT_EQ(scores, (std::vector<float>{-0.5F, -0.25F}));
  EXPECT_EQ(beam.best(1)[0].token_scores, (std::vector<float>{-1.0F}));
}

TEST(Beam, KeepsNoScoresUnlessTold) {
  Beam beam(1, 2, 0);
  beam.extend({{0, 3, Slot{}, -0.5F}});
  std::vector<float> scores;
  beam.append_scores(0, scores);
  EXPECT_TRUE(scores.empty());
}

}  // namespace
}  // namespace nmt_trt
