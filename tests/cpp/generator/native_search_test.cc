// Whole searches with a decoder on kernels of ours, on the fake device: what they find, what they ask for,
// what they take.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "../support.h"
#include "core/errors.h"
#include "scene.h"
#include "toy_weights.h"

namespace nmt_trt {
namespace {

using namespace testing;

FakePlan native_plan(bool pre_norm, const toy::Model& model = {}) {
  FakePlan plan;
  plan.model = model;
  plan.native = FakeDecoder{pre_norm};
  return plan;
}

Batch batch_of(int32_t sentences, int32_t longest, int32_t beam_size = 2) {
  Wish wish;
  wish.ends = ends_from(longest - sentences + 1, sentences);
  wish.beam_size = beam_size;
  return make_batch(wish);
}

class NativeSearchTest : public OnFakeDevice, public ::testing::WithParamInterface<bool> {
 protected:
  static FakePlan plan() { return native_plan(GetParam()); }
};

TEST_P(NativeSearchTest, BatchesOfAllKindsOneAfterTheOther) {
  std::mt19937 random(5);
  ToyGenerator generator(plan());
  for (uint32_t i = 0; i < 20; ++i) {
    device().set_pace(Pace::kRandom, i);
    ASSERT_TRUE(translates(generator, random_batch(random, i % 5 == 0 ? 100 : 40))) << "batch " << i;
  }
}

TEST_P(NativeSearchTest, WarmupMakesEverything) {
  const Batch batch = batch_of(40, 60);
  ToyGenerator generator(plan());
  warm_up(generator, batch, 60);
  const Makings before = device().makings;
  EXPECT_TRUE(translates(generator, batch));
  EXPECT_EQ(device().makings, before);
}

TEST_P(NativeSearchTest, NothingIsLeftOfFailures) {
  const Batch batch = batch_of(5, 20);
  int32_t calls = 0;
  {
    ToyGenerator generator(plan());
    const int32_t before = device().calls;
    EXPECT_TRUE(translates(generator, batch));
    calls = device().calls - before;
  }
  for (int32_t failing = 0; failing < calls; failing += 1 + failing / 50) {
    ToyGenerator generator(plan());
    device().failure = failing % 2 == 0 ? cudaErrorMemoryAllocation : cudaErrorUnknown;
    device().failing_call = device().calls + failing;
    try {
      generate(generator, batch);
    } catch (const Error&) {
    }
    device().failing_call = -1;
    EXPECT_TRUE(translates(generator, batch)) << "after the failure of call " << failing;
  }
}

TEST_P(NativeSearchTest, MemoryIsAllCounted) {
  FakePlan counted = plan();
  counted.bytes = 5000;
  ToyGenerator generator(counted);
  EXPECT_EQ(generator.memory().total(), 0U);
  for (const auto& [sentences, beam_size] : {std::pair{20, 1}, {3, 4}, {30, 2}}) {
    generate(generator, batch_of(sentences, 40, beam_size));
    const MemoryUse use = generator.memory();
    const size_t encoder_plans = 2 * counted.bytes;
    EXPECT_GT(use.plans, encoder_plans);
    EXPECT_EQ(use.total() - encoder_plans, device().holdings.device_bytes);
  }
}

TEST_P(NativeSearchTest, MemoryLimitIsKept) {
  const std::vector<Batch> batches = {batch_of(20, 40, 1), batch_of(3, 70, 4), batch_of(1, 20, 8)};
  std::vector<Found> wanted;
  for (const Batch& batch : batches) wanted.push_back(expected(batch));
  size_t most = 0;
  {
    ToyGenerator generator(plan());
    for (const Batch& batch : batches) generate(generator, batch);
    most = generator.memory().total();
  }
  const Outcomes outcomes = generate_within_limits({plan()}, batches, wanted, most, 20);
  EXPECT_GT(outcomes.failures, 5);
  EXPECT_GT(outcomes.successes, 5);
}

INSTANTIATE_TEST_SUITE_P(Norms, NativeSearchTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "before" : "behind"; });

class NativeModelsTest : public OnFakeDevice {};

TEST_F(NativeModelsTest, EnginesAndKernelsOfOursInOneEnsemble) {
  const ToyModels models = {{1, 2}, {2, 1}, {3, 2}};
  FakePlan engines;
  engines.model = models[1];
  std::mt19937 random(7);
  ToyGenerator generator({native_plan(true, models[0]), engines, native_plan(false, models[2])});
  for (uint32_t i = 0; i < 8; ++i) {
    ASSERT_TRUE(translates(generator, random_batch(random, 40), models)) << "batch " << i;
  }
}

TEST_F(NativeModelsTest, RowsAreThoseOfTheSourceAndFromOneOn) {
  FakePlan plan = native_plan(true);
  plan.rows = {4, 12};
  ToyGenerator generator(plan);
  EXPECT_EQ(generator.max_batch(3), 4);
  EXPECT_EQ(generator.max_batch(20), 0);
  EXPECT_TRUE(translates(generator, batch_of(1, 10, 1)));
  EXPECT_EQ(take_steps().front().rows, 1);
}

/// How often each tensor is read, and the exponents.
TEST_F(NativeModelsTest, WeightsAreReadOnceWhenTheyAreFirstNeeded) {
  std::vector<std::string> asked;
  ModelSource source = {plans_like({}), toy::kShape, toy::native_source({}, DataType::kFloat32, 512, true)};
  source.native->weights = [&, read = source.native->weights](const std::string& name) {
    asked.push_back(name);
    return read(name);
  };
  source.native->exponents = [&] {
    asked.emplace_back("exponents");
    return Exponents();
  };
  Generator generator(fake_library(), {source}, std::nullopt);
  EXPECT_EQ(generator.max_batch(2), 64);
  EXPECT_TRUE(asked.empty());
  for (const int32_t beam_size : {1, 2, 3}) EXPECT_TRUE(translates(generator, batch_of(5, 20, beam_size)));
  EXPECT_EQ(asked.front(), "exponents");
  std::sort(asked.begin(), asked.end());
  EXPECT_EQ(std::adjacent_find(asked.begin(), asked.end()), asked.end());
  // Two tables, positions, the output's bias, the last norm, and of each layer six linear layers and three
  // norms.
  EXPECT_EQ(asked.size(), 1U + 4 + 2 + 18 * toy::kLayers);
}

TEST_F(NativeModelsTest, WeightsThatCannotBeReadAreNotTheEnd) {
  ModelSource source = {plans_like({}), toy::kShape, toy::native_source({}, DataType::kFloat32, 512, true)};
  bool damaged = true;
  source.native->weights = [&, read = source.native->weights](const std::string& name) {
    std::string bytes = read(name);
    if (damaged && name == "decoder.layers.1.ffn.in_.weight") bytes.pop_back();
    return bytes;
  };
  Generator generator(fake_library(), {source}, std::nullopt);
  const Batch batch = batch_of(5, 20);
  EXPECT_EQ(message_of<EngineError>([&] { generate(generator, batch); }),
            "the weights are of another model: decoder.layers.1.ffn.in_.weight has 127 bytes and should have "
            "128, float32 [8, 4]");
  damaged = false;
  EXPECT_TRUE(translates(generator, batch));
}

}  // namespace
}  // namespace nmt_trt
