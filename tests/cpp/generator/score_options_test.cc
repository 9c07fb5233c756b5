// Options that change scores: every value has its effect, and only what launches other kernels has stages of
// its own.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "scene.h"
#include "toy_model.h"

namespace nmt_trt {
namespace {

using namespace testing;

class ScoreOptionsTest : public OnFakeDevice {
 protected:
  static Batch of(int32_t sentences, uint32_t seed = 1) {
    Wish wish;
    wish.ends = ends_from(5, sentences);
    wish.max_length = 40;
    return make_batch(wish, seed);
  }
};

int32_t any_token(std::mt19937& random) { return static_cast<int32_t>(random() % toy::kVocabulary); }

bool is_forced(const SearchOptions& options, int32_t token) {
  return token == options.forced_bos || token == options.forced_eos;
}

// Each option with probability 1/2; some may leave a hypothesis nothing to go on with.
void draw_scores(std::mt19937& random, SearchOptions& options) {
  const auto chance = [&random] { return random() % 2 == 0; };
  if (chance()) options.min_length = static_cast<int32_t>(random() % 20);
  if (chance()) options.repetition_penalty = 0.5F + 0.01F * static_cast<float>(random() % 200);
  if (chance()) options.no_repeat_ngram = 1 + static_cast<int32_t>(random() % 4);
  if (chance()) options.forced_bos = 3;
  if (chance()) options.forced_eos = options.eos;
  for (uint32_t words = chance() ? random() % 30 : 0; words > 0; --words) {
    std::vector<int32_t> word(1 + random() % 3);
    for (int32_t& token : word) token = any_token(random);
    options.bad_words.push_back(word);
  }
  for (uint32_t tokens = chance() ? random() % 4 : 0; tokens > 0; --tokens) {
    const int32_t token = any_token(random);
    if (!is_forced(options, token)) options.suppress_tokens.push_back(token);
  }
}

TEST_F(ScoreOptionsTest, EachByItself) {
  ToyGenerator generator;
  const Batch plain = of(20);
  const Found unchanged = expected(plain);
  const auto expect_own_result = [&](const char* option, const Batch& batch) {
    EXPECT_TRUE(translates(generator, batch)) << option;
    EXPECT_FALSE(same(expected(batch), unchanged)) << option << " changes nothing";
  };
  Batch batch = plain;
  batch.options.min_length = 9;
  expect_own_result("min_length", batch);
  batch = plain;
  batch.options.repetition_penalty = 1.5F;
  expect_own_result("repetition_penalty", batch);
  batch = plain;
  batch.options.no_repeat_ngram = 2;
  expect_own_result("no_repeat_ngram", batch);
  batch = plain;
  batch.options.forced_bos = 7;
  expect_own_result("forced_bos", batch);
  batch = plain;
  batch.options.max_lengths.assign(20, 6);
  batch.options.forced_eos = toy::kEos;
  expect_own_result("forced_eos", batch);
  batch = plain;
  batch.options.bad_words = {{5}, {toy::kEos}};
  expect_own_result("bad_words of one token", batch);
  batch.options.bad_words = {{4, 6}, {9, 3, 4}, {3, 3}, {6, 9}};
  expect_own_result("bad_words", batch);
  batch = plain;
  batch.options.suppress_tokens = {4, 11};
  expect_own_result("suppress_tokens", batch);
  batch = plain;
  batch.options.allowed_tokens = {3, 5, 6, 7, 9, 10, 12};
  expect_own_result("allowed_tokens", batch);
}

TEST_F(ScoreOptionsTest, AllKindsOneAfterTheOther) {
  std::mt19937 random(11);
  ToyGenerator generator;
  for (uint32_t i = 0; i < 40; ++i) {
    device().set_pace(Pace::kRandom, i);
    Batch batch = random_batch(random, 40);
    if (batch.options.policy != PolicyKind::kNemo) draw_scores(random, batch.options);
    ASSERT_TRUE(translates(generator, batch)) << "batch " << i;
  }
}

TEST_F(ScoreOptionsTest, OtherValuesNeedNothingNew) {
  ToyGenerator generator;
  Batch batch = of(20);
  batch.options.min_length = 3;
  batch.options.bad_words = {{4, 6}, {9, 3, 4}, {3, 3}, {6, 9}};
  EXPECT_TRUE(translates(generator, batch));
  const Makings before = device().makings;
  batch.options.min_length = 7;
  batch.options.bad_words = {{4, 7}, {9, 5}};
  batch.options.repetition_penalty = 0.7F;
  batch.options.suppress_tokens = {5};
  batch.options.no_repeat_ngram = 3;
  EXPECT_TRUE(translates(generator, batch));
  batch = of(20);
  batch.options.forced_bos = 9;
  EXPECT_TRUE(translates(generator, batch));
  EXPECT_EQ(device().makings, before);
}

TEST_F(ScoreOptionsTest, GraphsWithAndWithoutThemAreNotShared) {
  ToyGenerator generator;
  const Batch plain = of(4);
  Batch batch = plain;
  batch.options.min_length = 9;
  EXPECT_TRUE(translates(generator, plain));
  const int32_t graphs = device().makings.executables;
  EXPECT_TRUE(translates(generator, batch));
  EXPECT_GT(device().makings.executables, graphs);
  const Makings both = device().makings;
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(translates(generator, plain));
    EXPECT_TRUE(translates(generator, batch));
  }
  EXPECT_EQ(device().makings, both);
}

TEST_F(ScoreOptionsTest, AnyNumberOfBadWords) {
  ToyGenerator generator;
  std::mt19937 random(3);
  Batch batch = of(6);
  for (const size_t words : {1U, 3U, 100U, 1000U, 20U}) {
    batch.options.bad_words.clear();
    while (batch.options.bad_words.size() < words) {
      batch.options.bad_words.push_back({any_token(random), any_token(random), any_token(random)});
    }
    EXPECT_TRUE(translates(generator, batch));
    const MemoryUse use = generator.memory();
    EXPECT_EQ(use.scratch + use.search + use.stages, device().holdings.device_bytes);
  }
}

TEST_F(ScoreOptionsTest, TargetPrefixesOfEachBatchAlone) {
  ToyGenerator generator;
  Batch batch = of(6);
  batch.options.target_prefix = {{5, 6, 7},      {}, {4}, {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9},
                                 {3, toy::kEos}, {8}};
  EXPECT_TRUE(translates(generator, batch));
  const Makings before = device().makings;
  batch.options.target_prefix = {{}, {4, 4}, {}, {}, {7}, {}};
  batch.options.min_length = 9;
  EXPECT_TRUE(translates(generator, batch));
  batch.options.target_prefix.clear();
  EXPECT_TRUE(translates(generator, batch));
  EXPECT_EQ(device().makings, before);
}

TEST_F(ScoreOptionsTest, AreWarmedUpFor) {
  ToyGenerator generator;
  Batch batch = of(20);
  batch.options.repetition_penalty = 1.2F;
  batch.options.suppress_tokens = {5};
  warm_up(generator, batch, 40);
  const Makings before = device().makings;
  EXPECT_TRUE(translates(generator, batch));
  EXPECT_EQ(device().makings, before);
}

}  // namespace
}  // namespace nmt_trt
