// How many tokens the encoder runs on: those that a batch has, rounded up, not those that it is padded to.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

constexpr int32_t kSentences = 8;
constexpr int32_t kLongest = 64;

class EncoderTokensTest : public OnFakeDevice {
 protected:
  /// So many source tokens in all, in `sentences` sources, the first as long as can be.
  static Batch of(int32_t tokens, int32_t sentences = kSentences, int32_t end = 5) {
    Wish wish;
    wish.ends = ends_at(end, sentences);
    wish.source = 1;
    Batch batch = make_batch(wish);
    int32_t left = tokens - sentences;
    for (size_t i = 0; i < batch.sources.size(); ++i) {
      const int32_t more = std::min(left, kLongest - 1);
      for (int32_t token = 0; token < more; ++token) batch.sources[i].push_back(3 + (token * 7) % 100);
      batch.options.source_lengths[i] += more;
      left -= more;
    }
    EXPECT_EQ(left, 0);
    return batch;
  }
  static Batch deterministic(Batch batch) {
    batch.deterministic = true;
    return batch;
  }
  /// What the encoder ran on since the last call.
  static std::vector<int32_t> take_encoded() {
    device().finish();
    return std::exchange(device().encoded, {});
  }
  static std::set<int32_t> made_by_warmup(const Batch& batch, const FakePlan& plan = {}) {
    ToyGenerator generator(plan);
    take_encoded();
    warm_up(generator, batch, 10);
    const std::vector<int32_t> encoded = take_encoded();
    return {encoded.begin(), encoded.end()};
  }
  /// Translates as it should, and on what.
  static std::vector<int32_t> encoded_by(Generator& generator, const Batch& batch) {
    warm_up(generator, batch, 10);
    take_encoded();
    EXPECT_TRUE(translates(generator, batch));
    return take_encoded();
  }
  /// Translates, and nothing has to be made for it.
  static void expect_nothing_made(Generator& generator, const Batch& batch) {
    const Makings before = device().makings;
    EXPECT_TRUE(translates(generator, batch));
    EXPECT_EQ(device().makings, before);
  }
  static bool fits(const Batch& batch, size_t limit) {
    ToyGenerator generator(FakePlan{}, limit);
    try {
      generate(generator, batch);
    } catch (const OutOfMemoryError&) {
      return false;
    }
    return true;
  }
  /// The smallest limit with which a generator of its own translates the batch.
  static size_t least_limit(const Batch& batch) {
    size_t fails = 0;
    size_t suffices = 10'000'000;
    while (suffices - fails > 1) {
      const size_t middle = (fails + suffices) / 2;
      (fits(batch, middle) ? suffices : fails) = middle;
    }
    return suffices;
  }
};

TEST_F(EncoderTokensTest, OneLongSourceAmongShortOnes) {
  ToyGenerator generator;
  EXPECT_EQ(encoded_by(generator, of(kLongest + 63, 64)), std::vector<int32_t>{64 * kLongest / 8});
}

TEST_F(EncoderTokensTest, AreHalvedAsLongAsTheBatchFits) {
  ToyGenerator generator;
  for (const auto& [tokens, encoded] : {std::pair{512, 512},
                                        {64, 64},
                                        {257, 512},
                                        {256, 256},
                                        {129, 256},
                                        {128, 128},
                                        {80, 128},
                                        {300, 512}}) {
    EXPECT_EQ(encoded_by(generator, of(tokens)), std::vector<int32_t>{encoded}) << tokens;
  }
}

TEST_F(EncoderTokensTest, AreThoseThatThePlansAdmit) {
  FakePlan plan;
  plan.tokens = {200, 4096};
  ToyGenerator generator(plan);
  EXPECT_EQ(encoded_by(generator, of(71)), std::vector<int32_t>{256});
  plan.tokens = {16, 300};
  ToyGenerator other(plan);
  EXPECT_EQ(encoded_by(other, of(151)), std::vector<int32_t>{300});
  EXPECT_EQ(encoded_by(other, of(150)), std::vector<int32_t>{150});
}

TEST_F(EncoderTokensTest, OfDeterministicBatchesAreTheSameAlways) {
  ToyGenerator generator;
  for (const int32_t tokens : {71, 512}) {
    EXPECT_EQ(encoded_by(generator, deterministic(of(tokens))), std::vector<int32_t>{32 * kLongest});
  }
}

// With no warmup: each number is met when the stage has just held more tokens, or fewer.
TEST_F(EncoderTokensTest, ChangeFromBatchToBatch) {
  for (uint32_t seed = 0; seed < 10; ++seed) {
    device().set_pace(Pace::kRandom, seed);
    ToyGenerator generator;
    for (const int32_t tokens : {512, 64, 200, 512, 71}) {
      ASSERT_TRUE(translates(generator, of(tokens, kSentences, 40)));
    }
  }
}

TEST_F(EncoderTokensTest, WarmupMakesAllThatABatchCanNeed) {
  ToyGenerator generator;
  warm_up(generator, of(71), 10);
  for (const int32_t tokens : {512, 64, 256, 128}) expect_nothing_made(generator, of(tokens));
  EXPECT_EQ(made_by_warmup(of(71)), (std::set<int32_t>{64, 128, 256, 512}));
  EXPECT_EQ(made_by_warmup(of(128, 2)), (std::set<int32_t>{64, 128}));
  EXPECT_EQ(made_by_warmup(of(64, 1)), std::set<int32_t>{64});
  EXPECT_EQ(made_by_warmup(deterministic(of(71))), std::set<int32_t>{32 * kLongest});
  FakePlan plan;
  plan.tokens = {200, 300};
  EXPECT_EQ(made_by_warmup(of(71), plan), std::set<int32_t>{300});
}

TEST_F(EncoderTokensTest, WarmupNeedsNoMoreMemoryThanTheLargest) {
  const Batch full = of(512);
  const size_t least = least_limit(full);
  ToyGenerator generator(FakePlan{}, least);
  warm_up(generator, full, 10);
  EXPECT_LE(generator.memory().total(), least);
  expect_nothing_made(generator, full);
  ToyGenerator smaller(FakePlan{}, least - 1);
  EXPECT_THROW(warm_up(smaller, full, 10), OutOfMemoryError);
}

TEST_F(EncoderTokensTest, WarmupOnAFullDeviceNeedsNoMoreMemoryThanTheLargest) {
  const Batch full = of(512);
  size_t enough = 0;
  {
    ToyGenerator generator;
    generate(generator, full);
    enough = device().holdings.device_bytes;
  }
  device().memory = enough;
  ToyGenerator generator;
  warm_up(generator, full, 10);
  expect_nothing_made(generator, full);
}

TEST_F(EncoderTokensTest, FewerTokensNeedLessMemory) { EXPECT_LT(least_limit(of(71)), least_limit(of(512))); }

TEST_F(EncoderTokensTest, WhatABatchDoesNotNeedIsGivenUpForIt) {
  const Batch full = of(512, kSentences, 70);
  const Batch half = of(256, kSentences, 70);
  const Batch few = of(64, kSentences, 70);
  const size_t least = least_limit(full);
  ToyGenerator generator(FakePlan{}, least);
  for (const Batch* batch : {&few, &full, &half, &few, &full}) {
    EXPECT_TRUE(translates(generator, *batch));
    EXPECT_LE(generator.memory().total(), least);
  }
}

TEST_F(EncoderTokensTest, TheOneUsedLongestAgoIsGivenUpBeforeStages) {
  const Batch full = of(512);
  Wish wish;
  wish.ends = {5};
  const Batch other = make_batch(wish);
  const auto prepare = [&](Generator& generator) {
    for (const int32_t tokens : {64, 512}) generate(generator, of(tokens));
    generate(generator, other);
  };
  size_t all = 0;
  {
    ToyGenerator generator;
    prepare(generator);
    all = generator.memory().total();
  }
  ToyGenerator generator(FakePlan{}, all - 1);
  prepare(generator);
  expect_nothing_made(generator, full);
  expect_nothing_made(generator, other);
  const Makings before = device().makings;
  EXPECT_TRUE(translates(generator, of(64)));
  EXPECT_GT(device().makings.contexts, before.contexts);
}

TEST_F(EncoderTokensTest, MemoryLimitIsKept) {
  std::vector<Batch> batches;
  for (const int32_t tokens : {64, 512, 256}) batches.push_back(of(tokens, kSentences, 40));
  batches.push_back(of(127, 64, 10));
  std::vector<Found> wanted;
  size_t most = 0;
  ToyGenerator generator;
  for (const Batch& batch : batches) {
    wanted.push_back(expected(batch));
    generate(generator, batch);
    most = generator.memory().total();
  }
  const Outcomes outcomes = generate_within_limits({FakePlan{}}, batches, wanted, most, 30);
  EXPECT_GT(outcomes.failures, 5);
  EXPECT_GT(outcomes.successes, 30);
}

}  // namespace
}  // namespace nmt_trt
