#include "generator/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "../support.h"
#include "core/errors.h"
#include "scene.h"
#include "toy_model.h"

namespace nmt_trt {
namespace {

using namespace testing;

class GeneratorTest : public OnFakeDevice {};

std::set<int32_t> capacities_of(const std::vector<StepLaunch>& steps) {
  std::set<int32_t> capacities;
  for (const StepLaunch& step : steps) capacities.insert(step.capacity);
  return capacities;
}

std::vector<int32_t> rows_of(const std::vector<StepLaunch>& steps) {
  std::vector<int32_t> rows;
  for (const StepLaunch& step : steps) {
    if (rows.empty() || rows.back() != step.rows) rows.push_back(step.rows);
  }
  return rows;
}

TEST_F(GeneratorTest, EverySizeOfBatch) {
  ToyGenerator generator;
  for (int32_t sentences = 1; sentences <= 64; ++sentences) {
    Wish wish;
    wish.ends = ends_from(1, sentences);
    wish.max_length = 12;
    ASSERT_TRUE(translates(generator, make_batch(wish, static_cast<uint32_t>(sentences))));
  }
}

TEST_F(GeneratorTest, BatchesOfAllKindsOneAfterTheOther) {
  std::mt19937 random(7);
  ToyGenerator generator;
  for (uint32_t i = 0; i < 40; ++i) {
    device().set_pace(Pace::kRandom, i);
    ASSERT_TRUE(translates(generator, random_batch(random, i % 8 == 0 ? 150 : 40))) << "batch " << i;
  }
}

TEST_F(GeneratorTest, CachesGrow) {
  for (const bool deterministic : {false, true}) {
    for (const PolicyKind policy : {PolicyKind::kGnmt, PolicyKind::kNemo, PolicyKind::kHf}) {
      ToyGenerator generator;
      Wish wish;
      wish.ends = {100, 20, 70, 40};
      wish.policy = policy;
      wish.deterministic = deterministic;
      EXPECT_TRUE(translates(generator, make_batch(wish)));
      EXPECT_EQ(capacities_of(take_steps()), (std::set<int32_t>{32, 64, 128}));
    }
  }
}

TEST_F(GeneratorTest, FinishedSentencesGiveUpTheirRows) {
  for (const PolicyKind policy : {PolicyKind::kGnmt, PolicyKind::kHf}) {
    ToyGenerator generator;
    Wish wish;
    wish.ends = ends_from(5, 64);
    wish.policy = policy;
    std::shuffle(wish.ends.begin(), wish.ends.end(), std::mt19937(3));
    EXPECT_TRUE(translates(generator, make_batch(wish)));
    EXPECT_EQ(rows_of(take_steps()), (std::vector<int32_t>{64, 32, 16, 8}));
  }
}

TEST_F(GeneratorTest, WaysToStopOfPolicyHfAreValuesNotKernels) {
  ToyGenerator generator;
  Wish wish;
  wish.ends = ends_from(5, 30);
  wish.policy = PolicyKind::kHf;
  wish.beam_size = 4;
  wish.max_length = 60;
  Batch batch = make_batch(wish);
  warm_up(generator, batch, wish.max_length);
  const Makings before = device().makings;
  batch.options.num_hypotheses = 3;
  for (const float length_penalty : {-1.0F, 0.0F, 1.0F, 2.0F}) {
    for (const EarlyStopping stop : {EarlyStopping::kNo, EarlyStopping::kYes, EarlyStopping::kNever}) {
      batch.options.early_stopping = stop;
      batch.options.length_penalty = length_penalty;
      EXPECT_TRUE(translates(generator, batch));
    }
  }
  EXPECT_EQ(device().makings, before);
}

TEST_F(GeneratorTest, RowsOfManySentencesAreGivenUpAtOnce) {
  ToyGenerator generator;
  Wish wish;
  wish.ends = ends_at(10, 64);
  wish.ends[33] = 50;
  EXPECT_TRUE(translates(generator, make_batch(wish)));
  EXPECT_EQ(rows_of(take_steps()), (std::vector<int32_t>{64, 8}));
}

TEST_F(GeneratorTest, FewRowsAreNotWorthAChange) {
  ToyGenerator generator;
  Wish wish;
  wish.ends = ends_from(5, 8);
  EXPECT_TRUE(translates(generator, make_batch(wish)));
  EXPECT_EQ(rows_of(take_steps()), (std::vector<int32_t>{8}));
}

TEST_F(GeneratorTest, SentencesThatEndTogetherKeepTheirRows) {
  ToyGenerator generator;
  Wish wish;
  wish.ends = ends_from(5, 40);
  wish.policy = PolicyKind::kNemo;
  EXPECT_TRUE(translates(generator, make_batch(wish)));
  EXPECT_EQ(rows_of(take_steps()), (std::vector<int32_t>{64}));
}

TEST_F(GeneratorTest, DeterministicBatchesHaveTheSameRowsAlways) {
  ToyGenerator generator;
  EXPECT_EQ(generator.deterministic_rows(3), 32);
  EXPECT_EQ(generator.deterministic_rows(20), 25);
  for (const int32_t sentences : {1, 7, 25, 32}) {
    Wish wish;
    wish.ends = ends_from(5, sentences);
    wish.max_length = 20;
    wish.beam_size = 3;
    wish.deterministic = true;
    EXPECT_TRUE(translates(generator, make_batch(wish)));
  }
  EXPECT_EQ(rows_of(take_steps()), (std::vector<int32_t>{32}));
}

TEST_F(GeneratorTest, LimitsOfSentencesCut) {
  ToyGenerator generator;
  Wish wish;
  wish.ends = ends_at(100, 20);
  Batch batch = make_batch(wish);
  for (int32_t i = 0; i < 20; ++i) batch.options.max_lengths[static_cast<size_t>(i)] = 1 + 4 * i;
  EXPECT_TRUE(translates(generator, batch));
}

TEST_F(GeneratorTest, AnEmptyBatch) {
  ToyGenerator generator;
  EXPECT_TRUE(generate(generator, make_batch({})).hypotheses.empty());
}

TEST_F(GeneratorTest, BadLogits) {
  for (const Pace pace : {Pace::kOnDemand, Pace::kAtOnce, Pace::kRandom}) {
    device().set_pace(pace);
    ToyGenerator generator;
    Wish wish;
    wish.ends = ends_from(5, 20);
    const Batch good = make_batch(wish);
    wish.ends[13] = toy::kBadSource;
    EXPECT_THROW(generate(generator, make_batch(wish)), LogitsError);
    EXPECT_TRUE(translates(generator, good));
  }
}

TEST_F(GeneratorTest, RefusesBatchesThatThePlansDoNotAdmit) {
  ToyGenerator generator;
  const auto complaint = [&](const Wish& wish) {
    return message_of<UsageError>([&] { generate(generator, make_batch(wish)); });
  };
  Wish wish;
  wish.ends = ends_at(3, 65);
  EXPECT_EQ(complaint(wish),
            "the batch of input_ids must be from 1 to 64, as the engines were built; given 65");
  wish.ends = ends_at(3, 33);
  wish.deterministic = true;
  EXPECT_EQ(complaint(wish),
            "the batch of input_ids must be from 1 to 32, as the engines were built; given 33");
  wish.ends = ends_at(3, 1);
  wish.max_length = 161;
  EXPECT_EQ(complaint(wish), "max_lengths must be from 1 to 160, as the engines were built; given 161");
  EXPECT_EQ(device().makings.contexts, 0);
}

TEST_F(GeneratorTest, ValuesOfAPolicyNeedNothingNew) {
  ToyGenerator generator;
  Wish wish;
  wish.ends = ends_from(5, 12);
  wish.beam_size = 4;
  Batch plain = make_batch(wish);
  Batch groups = plain;
  groups.options.beam_groups = 2;
  groups.options.diversity_penalty = 0.5F;
  wish.policy = PolicyKind::kSample;
  Batch samples = make_batch(wish);
  wish.policy = PolicyKind::kHf;
  Batch patient = make_batch(wish);
  const auto translate_all = [&] {
    for (const Batch& batch : {plain, groups, samples, patient}) EXPECT_TRUE(translates(generator, batch));
  };
  translate_all();
  const Makings before = device().makings;
  groups.options.diversity_penalty = 1.5F;
  samples.options.seed = 9;
  samples.options.sampling_topk = 5;
  samples.options.sampling_topp = 0.7F;
  samples.options.sampling_temperature = 2.0F;
  patient.options.patience = 3.0F;
  translate_all();
  EXPECT_EQ(device().makings, before);
  EXPECT_FALSE(same(expected(groups), expected(plain)));
}

TEST_F(GeneratorTest, RefusesArgumentsThatMakeNoSense) {
  ToyGenerator generator;
  EXPECT_THROW(generator.max_batch(0), UsageError);
  EXPECT_THROW(generator.max_batch(kMaxBeamSize + 1), UsageError);
  EXPECT_THROW(generator.deterministic_rows(0), UsageError);
  SearchOptions options = make_batch({}).options;
  const auto warm_up = [&](int32_t sentences, int32_t source, int32_t steps) {
    generator.warmup(sentences, source, options, steps, false);
  };
  EXPECT_THROW(warm_up(0, 10, 10), UsageError);
  EXPECT_THROW(warm_up(65, 10, 10), UsageError);
  EXPECT_THROW(warm_up(1, 0, 10), UsageError);
  EXPECT_THROW(warm_up(1, 65, 10), UsageError);
  EXPECT_THROW(warm_up(1, 10, 0), UsageError);
  EXPECT_THROW(warm_up(1, 10, toy::kShape.max_positions + 1), UsageError);
  options.beam_size = 0;
  EXPECT_THROW(warm_up(1, 10, 10), UsageError);
}

TEST_F(GeneratorTest, UsesTheFirstDeviceWhateverTheCallersIs) {
  Wish wish;
  wish.ends = ends_from(20, 20);
  const Batch batch = make_batch(wish);
  device().current = 1;
  {
    ToyGenerator generator;
    warm_up(generator, batch, 20);
    EXPECT_TRUE(translates(generator, batch));
    EXPECT_EQ(generator.max_batch(2), 64);
    EXPECT_EQ(device().current, 1);
  }
  device().current = 0;
}

}  // namespace
}  // namespace nmt_trt
