#include <gtest/gtest.h>

#include <random>
#include <string>

#include "../support.h"
#include "core/errors.h"
#include "scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

class AttentionMemoryTest : public OnFakeDevice {
 protected:
  static Batch of(int32_t sentences, PolicyKind policy = PolicyKind::kGnmt, int32_t max_length = 60) {
    Wish wish;
    wish.ends = ends_from(3, sentences);
    wish.policy = policy;
    wish.beam_size = 3;
    wish.max_length = max_length;
    wish.attention = true;
    return make_batch(wish);
  }
  static size_t held(const Generator& generator) {
    const MemoryUse use = generator.memory();
    return use.scratch + use.search + use.stages;
  }
};

TEST_F(AttentionMemoryTest, FollowsParentsWithEveryPolicy) {
  ToyGenerator generator;
  for (const PolicyKind policy :
       {PolicyKind::kGnmt, PolicyKind::kNemo, PolicyKind::kHf, PolicyKind::kSample}) {
    const Batch batch = of(20, policy);
    const Found found = generate(generator, batch).hypotheses;
    EXPECT_TRUE(same(found, expected(batch)));
    EXPECT_FALSE(found[0][0].attention.empty());
    EXPECT_TRUE(found[0][0].token_scores.empty());
  }
}

TEST_F(AttentionMemoryTest, StaysInPlaceWhenRowsMove) {
  ToyGenerator generator;
  EXPECT_TRUE(translates(generator, of(40)));
  const auto steps = take_steps();
  EXPECT_LT(steps.back().rows, steps.front().rows);
  EXPECT_GT(steps.back().capacity, steps.front().capacity);
}

TEST_F(AttentionMemoryTest, GraphsOutliveTheRoomOfABatch) {
  ToyGenerator generator;
  EXPECT_TRUE(translates(generator, of(8)));
  const int32_t graphs = device().makings.executables;
  Batch batch = of(8);
  for (const int32_t limit : {150, 12, 60}) {
    batch.options.max_lengths.assign(8, limit);
    EXPECT_TRUE(translates(generator, batch));
    EXPECT_EQ(held(generator), device().holdings.device_bytes);
  }
  EXPECT_EQ(device().makings.executables, graphs);
}

TEST_F(AttentionMemoryTest, GraphsWithAndWithoutItAreNotShared) {
  ToyGenerator generator;
  Batch plain = of(4);
  plain.options.attention = false;
  EXPECT_TRUE(translates(generator, plain));
  const int32_t graphs = device().makings.executables;
  EXPECT_TRUE(translates(generator, of(4)));
  EXPECT_GT(device().makings.executables, graphs);
  const Makings both = device().makings;
  EXPECT_TRUE(translates(generator, plain));
  EXPECT_TRUE(translates(generator, of(4)));
  EXPECT_EQ(device().makings, both);
}

TEST_F(AttentionMemoryTest, CoveragePenaltyRanksAsOnTheCpu) {
  ToyGenerator generator;
  int32_t moved = 0;
  for (const PolicyKind policy : {PolicyKind::kGnmt, PolicyKind::kHf, PolicyKind::kSample}) {
    Batch batch = of(12, policy);
    batch.options.attention = false;
    batch.options.num_hypotheses = 1;
    const Found without = generate(generator, batch).hypotheses;
    batch.options.coverage_penalty = 1.0F;
    const Found found = generate(generator, batch).hypotheses;
    EXPECT_TRUE(same(found, expected(batch)));
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i].size(), 1U);
      EXPECT_TRUE(found[i][0].attention.empty());
      EXPECT_LT(found[i][0].score, without[i][0].score);
      const bool other = found[i][0].tokens != without[i][0].tokens;
      EXPECT_FALSE(other && policy == PolicyKind::kSample);
      moved += other ? 1 : 0;
    }
  }
  EXPECT_GT(moved, 0);
}

TEST_F(AttentionMemoryTest, WhatCannotFitLeavesNothingBehind) {
  const Batch batch = of(5);
  size_t needed = 0;
  {
    ToyGenerator generator;
    generate(generator, batch);
    needed = generator.memory().total();
  }
  ToyGenerator generator(FakePlan{}, needed);
  EXPECT_TRUE(translates(generator, batch));
  EXPECT_EQ(generator.memory().total(), needed);
  EXPECT_THROW(generate(generator, of(5, PolicyKind::kGnmt, 160)), OutOfMemoryError);
  EXPECT_LT(generator.memory().total(), needed);
  EXPECT_EQ(held(generator), device().holdings.device_bytes);
  EXPECT_TRUE(translates(generator, batch));
}

TEST_F(AttentionMemoryTest, IsWarmedUpFor) {
  ToyGenerator generator;
  const Batch batch = of(20, PolicyKind::kGnmt, 40);
  warm_up(generator, batch, 40);
  const Makings before = device().makings;
  EXPECT_TRUE(translates(generator, batch));
  EXPECT_EQ(device().makings, before);
}

TEST_F(AttentionMemoryTest, SourceLengthsMustBeTheBatchs) {
  ToyGenerator generator;
  Batch batch = of(4);
  ++batch.options.source_lengths[2];
  EXPECT_EQ(message_of<UsageError>([&] { generate(generator, batch); }),
            "source_lengths must be the lengths of the sources; given others");
}

}  // namespace
}  // namespace nmt_trt
