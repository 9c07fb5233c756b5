#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <initializer_list>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../support.h"
#include "core/errors.h"
#include "scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

class MemoryTest : public OnFakeDevice {
 protected:
  static Batch of(int32_t sentences, int32_t beam_size, int32_t longest) {
    Wish wish;
    wish.ends = ends_from(longest - sentences + 1, sentences);
    wish.beam_size = beam_size;
    return make_batch(wish);
  }
  /// Bytes after these batches in a generator of their own.
  static size_t needed_by(std::initializer_list<Batch> batches) {
    ToyGenerator generator;
    for (const Batch& batch : batches) generate(generator, batch);
    return generator.memory().total();
  }
};

TEST_F(MemoryTest, IsAllCounted) {
  FakePlan plan;
  plan.bytes = 5000;
  plan.scratch = 70'000;
  ToyGenerator generator(plan);
  EXPECT_EQ(generator.memory().total(), 0U);
  for (const auto& [sentences, beam_size] : {std::pair{20, 1}, {3, 4}, {20, 1}, {30, 2}, {5, 3}}) {
    Batch batch = of(sentences, beam_size, 40);
    if (beam_size == 3) batch.options.policy = PolicyKind::kHf;
    generate(generator, batch);
    const MemoryUse use = generator.memory();
    EXPECT_EQ(use.plans, 7 * plan.bytes);
    EXPECT_EQ(use.scratch, plan.scratch);
    EXPECT_EQ(use.scratch + use.search + use.stages, device().holdings.device_bytes);
  }
}

TEST_F(MemoryTest, LimitIsKept) {
  const std::vector<Batch> batches = {of(20, 1, 40), of(3, 4, 70), of(30, 2, 35),
                                      of(1, 8, 20),  of(5, 1, 10), of(20, 1, 40)};
  const size_t most = needed_by({batches[0], batches[1], batches[2], batches[3], batches[4]});
  std::vector<Found> wanted;
  for (const Batch& batch : batches) wanted.push_back(expected(batch));
  const Outcomes outcomes = generate_within_limits({FakePlan{}}, batches, wanted, most, 40);
  EXPECT_GT(outcomes.failures, 20);
  EXPECT_GT(outcomes.successes, 20);
}

TEST_F(MemoryTest, LimitCountsPlansScratchAndSharedBuffers) {
  FakePlan plan;
  plan.bytes = 100'000;
  plan.scratch = 500'000;
  ToyGenerator generator(plan, 1'000'000);
  EXPECT_THROW(generate(generator, of(20, 2, 40)), OutOfMemoryError);
  EXPECT_EQ(device().makings.contexts, 0);
}

TEST_F(MemoryTest, LimitThatSufficesIsEnough) {
  const Batch batch = of(20, 2, 40);
  const size_t needed = needed_by({batch});
  ToyGenerator generator(FakePlan{}, needed);
  EXPECT_TRUE(translates(generator, batch));
  EXPECT_EQ(generator.memory().total(), needed);
}

TEST_F(MemoryTest, WhatCannotFitDrivesNothingOut) {
  const Batch batch = of(5, 2, 40);
  ToyGenerator generator(FakePlan{}, needed_by({batch}) + 100);
  EXPECT_TRUE(translates(generator, batch));
  const Makings before = device().makings;
  const std::string text = message_of<OutOfMemoryError>([&] { generate(generator, of(50, 2, 80)); });
  EXPECT_NE(text.find(" bytes of GPU memory, and memory_limit is "), std::string::npos) << text;
  EXPECT_NE(text.find("; lower the batch size"), std::string::npos) << text;
  EXPECT_EQ(device().makings, before);
  EXPECT_TRUE(translates(generator, batch));
  EXPECT_EQ(device().makings, before);
}

TEST_F(MemoryTest, ABeamSizeThatCannotFitLeavesNothingBehind) {
  const Batch batch = of(5, 2, 40);
  const size_t needed = needed_by({batch});
  ToyGenerator generator(FakePlan{}, needed);
  EXPECT_TRUE(translates(generator, batch));
  const size_t bytes = device().holdings.device_bytes;
  EXPECT_THROW(generate(generator, of(5, 8, 40)), OutOfMemoryError);
  EXPECT_EQ(device().holdings.device_bytes, bytes);
  EXPECT_LE(generator.memory().total(), needed);
}

TEST_F(MemoryTest, WhatWasUsedLongestAgoIsGivenUp) {
  const Batch first = of(2, 2, 20);
  const Batch second = of(4, 2, 20);
  const Batch third = of(8, 2, 20);
  ToyGenerator generator(FakePlan{}, needed_by({first, second, third}) - 1);
  for (const Batch* batch : {&first, &second, &first, &third}) EXPECT_TRUE(translates(generator, *batch));
  const Makings before = device().makings;
  EXPECT_TRUE(translates(generator, third));
  EXPECT_TRUE(translates(generator, first));
  EXPECT_EQ(device().makings, before);
  EXPECT_TRUE(translates(generator, second));
  EXPECT_GT(device().makings.contexts, before.contexts);
}

TEST_F(MemoryTest, AFullDeviceHasRoomForAnotherBeamSize) {
  ToyGenerator generator;
  for (const int32_t sentences : {2, 4, 8, 16, 32}) generate(generator, of(sentences, 4, 40));
  device().memory = device().holdings.device_bytes + 100;
  EXPECT_TRUE(translates(generator, of(2, 3, 40)));
}

TEST_F(MemoryTest, CanBeAskedForWhileABatchRuns) {
  ToyGenerator generator;
  std::atomic<bool> done = false;
  std::thread asking([&] {
    size_t most = 0;
    while (!done) most = std::max(most, generator.memory().total());
    EXPECT_LE(most, generator.memory().total());
  });
  for (const int32_t beam_size : {1, 2, 3}) {
    for (const int32_t sentences : {1, 5, 16}) generate(generator, of(sentences, beam_size, 70));
  }
  done = true;
  asking.join();
}

}  // namespace
}  // namespace nmt_trt
