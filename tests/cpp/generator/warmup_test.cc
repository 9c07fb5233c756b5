// A batch that was warmed up for makes nothing that takes time.
#include <gtest/gtest.h>

#include <algorithm>

#include "scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

class WarmupTest : public OnFakeDevice {
 protected:
  static void expect_nothing_made(Generator& generator, const Batch& batch) {
    const Makings before = device().makings;
    EXPECT_TRUE(translates(generator, batch));
    EXPECT_EQ(device().makings, before) << device().makings.contexts - before.contexts << " contexts, "
                                        << device().makings.executables - before.executables << " graphs and "
                                        << device().makings.device_buffers - before.device_buffers
                                        << " buffers for " << batch.sources.size() << " sentences";
  }
  static void expect_warm(const Wish& wish, int32_t steps) {
    ToyGenerator generator;
    const Batch batch = make_batch(wish);
    warm_up(generator, batch, steps);
    expect_nothing_made(generator, batch);
  }
};

TEST_F(WarmupTest, SentencesThatEndOneAfterTheOther) {
  for (const int32_t sentences : {1, 2, 15, 16, 17, 64}) {
    Wish wish;
    wish.ends = ends_from(1, sentences);
    wish.beam_size = 1;
    expect_warm(wish, 64);
  }
}

TEST_F(WarmupTest, AnyNumberOfSentencesThatGoesOn) {
  for (const int32_t left : {1, 2, 3, 5, 9, 20, 40}) {
    Wish wish;
    wish.ends = ends_at(10, 64);
    std::fill_n(wish.ends.begin(), left, 70);
    expect_warm(wish, 70);
  }
}

TEST_F(WarmupTest, DeterministicBatches) {
  for (const int32_t sentences : {1, 20}) {
    Wish wish;
    wish.ends = ends_from(30, sentences);
    wish.deterministic = true;
    expect_warm(wish, 64);
  }
}

TEST_F(WarmupTest, SentencesThatEndTogether) {
  Wish wish;
  wish.ends = ends_from(30, 20);
  wish.policy = PolicyKind::kNemo;
  expect_warm(wish, 64);
}

TEST_F(WarmupTest, PlansForManyRowsOnly) {
  Wish wish;
  wish.ends = ends_from(1, 48);
  const Batch batch = make_batch(wish);
  for (const int32_t least : {1, 24, 96}) {
    FakePlan plan;
    plan.max_batch = 48;
    plan.rows = {least, 512};
    ToyGenerator generator(plan);
    warm_up(generator, batch, 48);
    expect_nothing_made(generator, batch);
  }
}

TEST_F(WarmupTest, MakesTheSameAsTheBatch) {
  Wish wish;
  wish.ends = ends_from(30, 5);
  const Batch batch = make_batch(wish);
  FakePlan plan;
  plan.tokens.least = 128;  // batches of fewer tokens need no other encoder
  ToyGenerator warmed(plan);
  warm_up(warmed, batch, 64);
  const MemoryUse use = warmed.memory();
  ToyGenerator cold(plan);
  generate(cold, batch);
  EXPECT_EQ(use.total(), cold.memory().total());
}

TEST_F(WarmupTest, BatchesOfAnotherKindInBetween) {
  ToyGenerator generator;
  Wish wish;
  wish.ends = ends_from(1, 40);
  const Batch batch = make_batch(wish);
  warm_up(generator, batch, 40);
  wish.beam_size = 3;
  wish.source = 40;
  EXPECT_TRUE(translates(generator, make_batch(wish)));
  expect_nothing_made(generator, batch);
}

TEST_F(WarmupTest, AfterEverythingWasGivenUp) {
  Wish wish;
  wish.ends = ends_from(1, 20);
  const Batch batch = make_batch(wish);
  wish.beam_size = 5;
  const Batch other = make_batch(wish);
  size_t enough = 0;
  for (const Batch* needs : {&batch, &other}) {
    ToyGenerator alone;
    warm_up(alone, *needs, 20);
    enough = std::max(enough, alone.memory().total());
  }
  ToyGenerator generator(FakePlan{}, enough + enough / 4);
  warm_up(generator, batch, 20);
  const Makings before = device().makings;
  warm_up(generator, other, 20);
  EXPECT_TRUE(translates(generator, batch));
  EXPECT_GT(device().makings.contexts, before.contexts + 5);
  warm_up(generator, batch, 20);
  expect_nothing_made(generator, batch);
}

}  // namespace
}  // namespace nmt_trt
