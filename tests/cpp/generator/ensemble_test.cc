#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "../support.h"
#include "core/errors.h"
#include "scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

class EnsembleTest : public OnFakeDevice {
 protected:
  static std::vector<FakePlan> plans_of(const ToyModels& models) {
    std::vector<FakePlan> plans;
    for (const toy::Model& model : models) {
      plans.emplace_back();
      plans.back().model = model;
    }
    return plans;
  }
  static Batch batch_of(int32_t sentences, int32_t longest, int32_t beam_size = 2) {
    Wish wish;
    wish.ends = ends_from(longest - sentences + 1, sentences);
    wish.beam_size = beam_size;
    return make_batch(wish);
  }
};

const ToyModels kTwo = {{1, 2}, {2, 1}};

TEST_F(EnsembleTest, BatchesOfAllKindsOneAfterTheOther) {
  for (const ToyModels& models : {kTwo, ToyModels{{1, 1}, {2, 2}, {3, 2}}}) {
    std::mt19937 random(11);
    ToyGenerator generator(plans_of(models));
    for (uint32_t i = 0; i < 15; ++i) {
      device().set_pace(Pace::kRandom, i);
      ASSERT_TRUE(translates(generator, random_batch(random, i % 5 == 0 ? 100 : 40), models))
          << "batch " << i;
    }
  }
}

TEST_F(EnsembleTest, EveryModelHasItsSay) {
  ToyGenerator generator(plans_of(kTwo));
  const Batch batch = batch_of(5, 20);
  const Found found = generate(generator, batch).hypotheses;
  EXPECT_FALSE(same(found, expected(batch, {kTwo[0]})));
  EXPECT_FALSE(same(found, expected(batch, {kTwo[1]})));
}

TEST_F(EnsembleTest, CachesOfAllModelsGrowAndGiveUpRows) {
  ToyGenerator generator(plans_of(kTwo));
  EXPECT_TRUE(translates(generator, batch_of(64, 100), kTwo));
  const std::vector<StepLaunch> steps = take_steps();
  EXPECT_EQ(steps.front(), (StepLaunch{64, 32}));
  EXPECT_EQ(steps.back(), (StepLaunch{8, 128}));
}

TEST_F(EnsembleTest, OneAverageAStepAndNoneOfASingleModel) {
  const Batch batch = batch_of(3, 20);
  ToyGenerator ensemble(plans_of(kTwo));
  warm_up(ensemble, batch, 20);
  take_steps();
  device().averages = 0;
  EXPECT_TRUE(translates(ensemble, batch, kTwo));
  device().finish();
  EXPECT_EQ(static_cast<size_t>(device().averages), take_steps().size());
  device().averages = 0;
  ToyGenerator single;
  EXPECT_TRUE(translates(single, batch));
  EXPECT_EQ(device().averages, 0);
}

TEST_F(EnsembleTest, WarmupMakesEverything) {
  const Batch batch = batch_of(40, 60);
  ToyGenerator generator(plans_of(kTwo));
  warm_up(generator, batch, 60);
  const Makings before = device().makings;
  EXPECT_TRUE(translates(generator, batch, kTwo));
  EXPECT_EQ(device().makings, before);
}

TEST_F(EnsembleTest, MemoryOfAllModelsIsCounted) {
  std::vector<FakePlan> plans = plans_of(kTwo);
  plans[0].bytes = 5000;
  plans[1].bytes = 7000;
  plans[1].scratch = 70'000;
  ToyGenerator generator(plans);
  for (const auto& [sentences, beam_size] : {std::pair{20, 1}, {3, 4}, {30, 2}}) {
    generate(generator, batch_of(sentences, 40, beam_size));
    const MemoryUse use = generator.memory();
    EXPECT_EQ(use.plans, 7U * 5000 + 5U * 7000);
    EXPECT_EQ(use.scratch, plans[0].scratch + plans[1].scratch);
    EXPECT_EQ(use.scratch + use.search + use.stages, device().holdings.device_bytes);
  }
}

TEST_F(EnsembleTest, MemoryLimitIsKept) {
  const std::vector<Batch> batches = {batch_of(20, 40, 1), batch_of(3, 70, 4), batch_of(30, 35),
                                      batch_of(1, 20, 8)};
  std::vector<Found> wanted;
  for (const Batch& batch : batches) wanted.push_back(expected(batch, kTwo));
  size_t most = 0;
  {
    ToyGenerator generator(plans_of(kTwo));
    for (const Batch& batch : batches) generate(generator, batch);
    most = generator.memory().total();
  }
  const Outcomes outcomes = generate_within_limits(plans_of(kTwo), batches, wanted, most, 20);
  EXPECT_GT(outcomes.failures, 5);
  EXPECT_GT(outcomes.successes, 5);
}

TEST_F(EnsembleTest, NothingIsLeftOfFailures) {
  const Batch batch = batch_of(5, 20);
  int32_t calls = 0;
  {
    ToyGenerator generator(plans_of(kTwo));
    const int32_t before = device().calls;
    EXPECT_TRUE(translates(generator, batch, kTwo));
    calls = device().calls - before;
  }
  for (int32_t failing = 0; failing < calls; failing += 1 + failing / 8) {
    ToyGenerator generator(plans_of(kTwo));
    device().failure = cudaErrorMemoryAllocation;
    device().failing_call = device().calls + failing;
    try {
      generate(generator, batch);
    } catch (const Error&) {
    }
    device().failing_call = -1;
    EXPECT_TRUE(translates(generator, batch, kTwo)) << "after the failure of call " << failing;
  }
}

TEST_F(EnsembleTest, LimitsAreTheSmallest) {
  std::vector<FakePlan> plans = plans_of(kTwo);
  plans[0].max_source = 40;
  plans[1].max_batch = 6;
  plans[1].rows = {4, 12};
  plans[1].tokens = {32, 128};
  ToyGenerator generator(plans);
  EXPECT_EQ(generator.shape().max_source, 40);
  EXPECT_EQ(generator.max_batch(1), 6);
  EXPECT_EQ(generator.max_batch(3), 4);
  EXPECT_EQ(generator.max_batch(20), 0);
  EXPECT_TRUE(translates(generator, batch_of(1, 10, 1), kTwo));
  EXPECT_THROW(generate(generator, batch_of(7, 10, 1)), UsageError);
}

TEST_F(EnsembleTest, BadLogits) {
  Wish wish;
  wish.ends = {5, toy::kBadSource, 9};
  ToyGenerator generator(plans_of(kTwo));
  EXPECT_THROW(generate(generator, make_batch(wish)), LogitsError);
  EXPECT_TRUE(translates(generator, batch_of(3, 9), kTwo));
}

TEST_F(EnsembleTest, RefusesModelsThatDoNotFit) {
  const auto complaint = [](std::vector<ModelSource> models) {
    return message_of<UsageError>([&] { Generator(fake_library(), std::move(models), std::nullopt); });
  };
  EXPECT_EQ(complaint({}), "the number of models must be from 1 to 16; given 0");
  const ModelSource model = {plans_like({}), toy::kShape};
  EXPECT_EQ(complaint(std::vector<ModelSource>(17, model)),
            "the number of models must be from 1 to 16; given 17");
  ModelSource other = model;
  other.shape.eos = 3;
  EXPECT_EQ(complaint({model, other}), "eos of every model must be 2, as the first one's; given 3");
  other = model;
  other.shape.vocab_size = 17;
  EXPECT_EQ(complaint({model, model, other}),
            "vocab_size of every model must be 16, as the first one's; given 17");
}

}  // namespace
}  // namespace nmt_trt
