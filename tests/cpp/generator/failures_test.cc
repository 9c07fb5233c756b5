// Every call that can fail does so once: an exception at most, nothing left behind, and the next batch is
// right.
#include <gtest/gtest.h>

#include "core/errors.h"
#include "scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

class FailuresTest : public OnFakeDevice {
 protected:
  /// Small, but with another cache and with fewer rows in between.
  static Batch batch() {
    Wish wish;
    wish.ends = ends_from(2, 16);
    wish.ends[5] = 34;
    wish.beam_size = 1;
    wish.source = 3;
    return make_batch(wish);
  }

  /// Lets every call that `work(generator)` makes fail in turn, the generator's own making included. Returns
  /// how many there were.
  template <typename Work>
  static int32_t fail_everywhere(cudaError_t failure, Work work) {
    const Batch next = batch();
    const Found wanted = expected(next);
    for (int32_t call = 0;; ++call) {
      device().restart(call % 4 == 0 ? Pace::kOnDemand : Pace::kRandom, static_cast<uint32_t>(call));
      device().failing_call = call;
      device().failure = failure;
      bool all_called = false;
      try {
        ToyGenerator generator;
        try {
          work(generator);
        } catch (const Error&) {
        }
        all_called = device().calls <= call;
        device().failing_call = -1;
        EXPECT_TRUE(same(generate(generator, next).hypotheses, wanted)) << "after call " << call;
      } catch (const Error& error) {
        EXPECT_LE(device().calls, 5) << "at call " << call << ": " << error.what();
      }
      EXPECT_EQ(device().holdings.total(), 0) << "after call " << call;
      EXPECT_TRUE(device().violations.empty()) << "at call " << call << ": " << device().violations.front();
      if (all_called || HasFailure()) return call;
    }
  }
};

TEST_F(FailuresTest, OfABatch) {
  const Batch failing = batch();
  const Found wanted = expected(failing);
  for (const cudaError_t failure : {cudaErrorMemoryAllocation, cudaErrorUnknown}) {
    const int32_t calls = fail_everywhere(failure, [&](Generator& generator) {
      EXPECT_TRUE(same(generate(generator, failing).hypotheses, wanted));
    });
    EXPECT_GT(calls, 150);
  }
}

TEST_F(FailuresTest, OfAnotherBatch) {
  Wish first_wish;
  first_wish.ends = {4, 3};
  const Batch first = make_batch(first_wish);
  Wish wish;
  wish.ends = {33, 3, 17};
  const Batch failing = make_batch(wish);
  const Found wanted = expected(failing);
  for (const cudaError_t failure : {cudaErrorMemoryAllocation, cudaErrorUnknown}) {
    fail_everywhere(failure, [&](Generator& generator) {
      generate(generator, first);
      EXPECT_TRUE(same(generate(generator, failing).hypotheses, wanted));
    });
  }
}

TEST_F(FailuresTest, OfASearchWithMoreMemory) {
  const Batch first = batch();
  Wish wish;
  wish.ends = {6, 3, 9};
  wish.policy = PolicyKind::kHf;
  Batch failing = make_batch(wish);
  failing.options.bad_words = {{5}, {4, 6}, {9, 3, 4}};
  const Found wanted = expected(failing);
  for (const cudaError_t failure : {cudaErrorMemoryAllocation, cudaErrorUnknown}) {
    fail_everywhere(failure, [&](Generator& generator) {
      generate(generator, first);
      EXPECT_TRUE(same(generate(generator, failing).hypotheses, wanted));
    });
  }
}

TEST_F(FailuresTest, OfWarmingUp) {
  const Batch failing = batch();
  for (const cudaError_t failure : {cudaErrorMemoryAllocation, cudaErrorUnknown}) {
    fail_everywhere(failure, [&](Generator& generator) { warm_up(generator, failing, 34); });
  }
}

TEST_F(FailuresTest, AnyAmountOfMemory) {
  const Batch small = batch();
  Wish wish;
  wish.ends = ends_from(10, 24);
  wish.beam_size = 4;
  const Batch large = make_batch(wish);
  const Found small_wanted = expected(small);
  const Found large_wanted = expected(large);
  int32_t failures = 0;
  int32_t successes = 0;
  for (size_t memory = 100'000; memory < 2'000'000; memory += 40'000) {
    ToyGenerator generator;
    for (int32_t i = 0; i < 4; ++i) {
      device().memory = memory;
      try {
        const bool first = i % 2 == 0;
        EXPECT_TRUE(
            same(generate(generator, first ? small : large).hypotheses, first ? small_wanted : large_wanted));
        ++successes;
      } catch (const OutOfMemoryError&) {
        ++failures;
      }
      EXPECT_EQ(generator.memory().total() - generator.memory().plans, device().holdings.device_bytes);
    }
    device().memory = size_t{1} << 40U;
    EXPECT_TRUE(same(generate(generator, large).hypotheses, large_wanted));
  }
  EXPECT_GT(failures, 10);
  EXPECT_GT(successes, 20);
}

}  // namespace
}  // namespace nmt_trt
