// Plans that admit a part of the shapes only.
#include <gtest/gtest.h>

#include "../support.h"
#include "core/errors.h"
#include "scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

class RangesTest : public OnFakeDevice {
 protected:
  static FakePlan plan_for(int32_t max_batch, Extent rows) {
    FakePlan plan;
    plan.max_batch = max_batch;
    plan.rows = rows;
    return plan;
  }
  /// Batches of all kinds with `sentences` sentences.
  static void expect_right(const FakePlan& plan, int32_t sentences) {
    ToyGenerator generator(plan);
    for (const PolicyKind policy : {PolicyKind::kGnmt, PolicyKind::kNemo}) {
      for (const bool deterministic : {false, true}) {
        Wish wish;
        wish.ends = ends_from(3, sentences);
        wish.policy = policy;
        wish.deterministic = deterministic;
        EXPECT_TRUE(translates(generator, make_batch(wish)));
      }
    }
    for (const StepLaunch& step : take_steps()) {
      EXPECT_GE(step.rows * 2, plan.rows.least);
      EXPECT_LE(step.rows, plan.max_batch);
    }
  }
};

TEST_F(RangesTest, BatchesThatBeginAboveOne) {
  for (const int32_t least : {2, 8, 20}) {
    expect_right(plan_for(64, {2 * least, 512}), 1);
    expect_right(plan_for(64, {2 * least, 512}), 30);
  }
}

TEST_F(RangesTest, BatchesOfOneSizeAboveThatOfDeterministicOnes) {
  const FakePlan plan = plan_for(64, {128, 512});
  expect_right(plan, 1);
  expect_right(plan, 64);
  ToyGenerator generator(plan);
  EXPECT_EQ(generator.deterministic_rows(2), 64);
}

TEST_F(RangesTest, FewRows) {
  const FakePlan plan = plan_for(64, {1, 20});
  expect_right(plan, 10);
  ToyGenerator generator(plan);
  EXPECT_EQ(generator.max_batch(1), 20);
  EXPECT_EQ(generator.max_batch(2), 10);
  EXPECT_EQ(generator.deterministic_rows(2), 10);
  EXPECT_EQ(generator.max_batch(20), 1);
  EXPECT_EQ(generator.max_batch(21), 0);
  EXPECT_EQ(generator.deterministic_rows(21), 0);
}

TEST_F(RangesTest, ManyRowsAtLeast) {
  const FakePlan plan = plan_for(64, {37, 512});
  expect_right(plan, 1);
  expect_right(plan, 30);
}

TEST_F(RangesTest, BeamSizesThatNoBatchCanHave) {
  ToyGenerator generator(plan_for(64, {10, 12}));
  EXPECT_EQ(generator.max_batch(3), 4);
  EXPECT_EQ(generator.max_batch(7), 0);
  Wish wish;
  wish.ends = {5};
  wish.beam_size = 7;
  EXPECT_THROW(generate(generator, make_batch(wish)), UsageError);
  wish.deterministic = true;
  EXPECT_THROW(generate(generator, make_batch(wish)), UsageError);
  EXPECT_THROW(warm_up(generator, make_batch(wish), 10), UsageError);
}

TEST_F(RangesTest, ALargestBatchThatIsNoPowerOfTwo) {
  expect_right(plan_for(48, {1, 512}), 32);
  ToyGenerator generator(plan_for(48, {1, 512}));
  Wish wish;
  wish.ends = ends_from(1, 48);
  EXPECT_TRUE(translates(generator, make_batch(wish)));
  EXPECT_EQ(take_steps().front().rows, 48);
}

TEST_F(RangesTest, OneSentenceThatIsPaddedToTwo) {
  FakePlan plan = plan_for(1, {2, 16});
  plan.tokens = {16, 64};
  ToyGenerator generator(plan);
  Batch batch = make_batch({});
  batch.options.beam_size = 1;
  batch.options.num_hypotheses = 1;
  batch.sources = {std::vector<int32_t>(64, 5)};
  batch.options.max_lengths = {9};
  EXPECT_TRUE(translates(generator, batch));
  batch.sources.push_back({5});
  batch.options.max_lengths.push_back(9);
  EXPECT_EQ(message_of<UsageError>([&] { generate(generator, batch); }),
            "the tokens of all sources must be from 1 to 64, as the engines were built; given 65");
}

TEST_F(RangesTest, Sources) {
  FakePlan plan;
  plan.max_source = 40;
  ToyGenerator generator(plan);
  EXPECT_EQ(generator.source_bucket(33), 40);
  for (const int32_t longest : {1, 20, 30, 40}) {
    Wish wish;
    wish.ends = ends_from(1, 9);
    wish.source = longest;
    EXPECT_TRUE(translates(generator, make_batch(wish)));
  }
  Batch batch = make_batch({});
  batch.sources = {std::vector<int32_t>(41, 5)};
  batch.options.max_lengths = {9};
  EXPECT_EQ(message_of<UsageError>([&] { generate(generator, batch); }),
            "the length of a source must be from 1 to 40, as the engines were built; given 41");
}

}  // namespace
}  // namespace nmt_trt
