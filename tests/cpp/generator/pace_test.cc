// What is launched, and what comes out, must not depend on how fast the device happens to be.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

class PaceTest : public OnFakeDevice {
 protected:
  /// Translates at many paces and returns the steps, which must be the same each time.
  static std::vector<StepLaunch> steps_of(const Wish& wish) {
    const Batch batch = make_batch(wish);
    const Found wanted = expected(batch);
    ToyGenerator generator;
    device().set_pace(Pace::kAtOnce);
    EXPECT_TRUE(same(generate(generator, batch).hypotheses, wanted));
    const std::vector<StepLaunch> steps = without_surplus(take_steps(), wish);
    for (uint32_t seed = 0; seed < 40; ++seed) {
      device().set_pace(seed % 8 == 0 ? Pace::kOnDemand : Pace::kRandom, seed);
      EXPECT_TRUE(same(generate(generator, batch).hypotheses, wanted)) << "seed " << seed;
      EXPECT_EQ(without_surplus(take_steps(), wish), steps) << "seed " << seed;
    }
    return steps;
  }

 private:
  /// Steps behind the last one that is needed do nothing, and may be launched or not.
  static std::vector<StepLaunch> without_surplus(std::vector<StepLaunch> steps, const Wish& wish) {
    const auto needed =
        static_cast<size_t>(std::min(wish.max_length, *std::max_element(wish.ends.begin(), wish.ends.end())));
    EXPECT_GE(steps.size(), needed);
    EXPECT_LE(steps.size(), needed + 2);
    steps.resize(std::min(steps.size(), needed));
    return steps;
  }
};

TEST_F(PaceTest, SentencesThatEndOneAfterTheOther) {
  Wish wish;
  wish.ends = ends_from(1, 64);
  wish.beam_size = 1;
  const auto steps = steps_of(wish);
  EXPECT_EQ(steps.front(), (StepLaunch{64, 32}));
  EXPECT_EQ(steps.back(), (StepLaunch{8, 64}));
}

TEST_F(PaceTest, SentencesThatNeverEndKeepTheirRows) {
  Wish wish;
  wish.ends = ends_at(500, 20);
  wish.beam_size = 1;
  wish.max_length = 6;
  EXPECT_EQ(steps_of(wish), std::vector<StepLaunch>(6, {32, 32}));
}

TEST_F(PaceTest, SentencesThatEndAtOnce) {
  Wish wish;
  wish.ends = ends_at(1, 40);
  wish.ends[39] = 9;
  wish.beam_size = 1;
  const auto steps = steps_of(wish);
  EXPECT_EQ(std::count(steps.begin(), steps.end(), StepLaunch{64, 32}), 3);
  EXPECT_EQ(std::count(steps.begin(), steps.end(), StepLaunch{8, 32}), 6);
}

TEST_F(PaceTest, DeterministicBatches) {
  Wish wish;
  wish.ends = ends_from(3, 32);
  wish.beam_size = 1;
  wish.deterministic = true;
  for (const StepLaunch& step : steps_of(wish)) EXPECT_EQ(step.rows, 32);
}

TEST_F(PaceTest, SentencesThatEndTogether) {
  Wish wish;
  wish.ends = ends_from(10, 30);
  wish.policy = PolicyKind::kNemo;
  for (const StepLaunch& step : steps_of(wish)) EXPECT_EQ(step.rows, 32);
}

TEST_F(PaceTest, NoLargerCacheIsMadeForABatchThatHasEnded) {
  for (const Pace pace : {Pace::kOnDemand, Pace::kAtOnce, Pace::kRandom}) {
    device().set_pace(pace);
    for (const int32_t end : {30, 31, 32}) {
      ToyGenerator generator;
      Wish wish;
      wish.ends = {end, 7, end};
      EXPECT_TRUE(translates(generator, make_batch(wish)));
      for (const StepLaunch& step : take_steps()) EXPECT_EQ(step.capacity, 32);
      const Makings before = device().makings;
      wish.ends = {2 * end, 33};
      wish.beam_size = 1;
      EXPECT_TRUE(translates(generator, make_batch(wish)));
      for (const StepLaunch& step : take_steps()) EXPECT_LE(step.capacity, 64);
      EXPECT_GT(device().makings.executables, before.executables);
    }
  }
}

}  // namespace
}  // namespace nmt_trt
