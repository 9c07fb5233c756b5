#include "core/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/philox.h"
#include "support.h"

namespace nmt_trt {
namespace {

using namespace testing;

// The known answers of Random123.
TEST(Philox, IsThePublishedOne) {
  const auto words = [](uint64_t key, const PhiloxBlock& counter) {
    const PhiloxBlock block = philox(key, counter);
    return std::vector<uint32_t>(block.words, block.words + 4);
  };
  EXPECT_EQ(words(0, {{0, 0, 0, 0}}),
            (std::vector<uint32_t>{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
  constexpr uint32_t kOnes = 0xFFFFFFFF;
  EXPECT_EQ(words(~uint64_t{0}, {{kOnes, kOnes, kOnes, kOnes}}),
            (std::vector<uint32_t>{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
  EXPECT_EQ(words(0x299F31D0A4093822, {{0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}}),
            (std::vector<uint32_t>{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

SearchOptions sampling(float temperature, int32_t topk, float topp) {
  auto options = scenario(PolicyKind::kSample, 1, 0.0F, {10});
  options.sampling_temperature = temperature;
  options.sampling_topk = topk;
  options.sampling_topp = topp;
  return options;
}

/// The tokens that may be drawn.
Ids left(const SearchOptions& options, const Logits& logits) {
  Sampler sampler(options, kPad);
  ScoreEdits edits(kVocabulary, true);
  edits.begin(logits.data(), 0.0);
  sampler(logits.data(), edits, {0, 0, 0});
  Ids tokens;
  for (int32_t token = 0; token < kVocabulary; ++token) {
    if (sampler.weights()[static_cast<size_t>(token)] > 0) tokens.push_back(token);
  }
  return tokens;
}

TEST(Sampler, FiltersInTheirOrder) {
  const auto logits = Logits().row({{kPad, 0.3}, {kEos, 0.1}, {kWordA, 0.3}, {kWordB, 0.2}, {kWordC, 0.1}});
  EXPECT_EQ(left(sampling(1, 0, 1), logits), (Ids{kEos, kWordA, kWordB, kWordC}));
  EXPECT_EQ(left(sampling(1, 2, 1), logits), (Ids{kWordA, kWordB}));
  EXPECT_EQ(left(sampling(1, 3, 1), logits), (Ids{kEos, kWordA, kWordB, kWordC}));  // the third two are equal
  EXPECT_EQ(left(sampling(1, 0, 0.8F), logits), (Ids{kEos, kWordA, kWordB}));  // the lower of the equal two
  EXPECT_EQ(left(sampling(1, 0, 0.7F), logits), (Ids{kWordA, kWordB}));
  EXPECT_EQ(left(sampling(1, 2, 0.59F), logits), (Ids{kWordA}));  // 3 of 5 after the first filter
  EXPECT_EQ(left(sampling(1, 2, 0.61F), logits), (Ids{kWordA, kWordB}));
  EXPECT_EQ(left(sampling(9, 2, 0.59F), logits), (Ids{kWordA, kWordB}));
  EXPECT_EQ(left(sampling(1, 0, 1e-6F), logits), (Ids{kWordA}));
}

TEST(Sampler, WeightsAreProportionalToProbabilities) {
  const auto logits = Logits().row({{kEos, 0.125}, {kWordA, 0.5}, {kWordB, 0.25}, {kWordC, 0.125}});
  Sampler sampler(sampling(0.5F, 0, 1), kPad);
  ScoreEdits edits(kVocabulary, true);
  edits.begin(logits.data(), 0.0);
  sampler(logits.data(), edits, {0, 0, 0});
  EXPECT_NEAR(static_cast<double>(sampler.weights()[kWordA]), std::exp2(40), 1e6);
  EXPECT_NEAR(static_cast<double>(sampler.weights()[kWordB]), std::exp2(38), 1e6);
  EXPECT_NEAR(static_cast<double>(sampler.weights()[kEos]), std::exp2(36), 1e6);
}

TEST(Sampler, ObeysEdits) {
  const auto logits = Logits().row({{kEos, 0.5}, {kWordA, 0.5}});
  Sampler sampler(sampling(1, 0, 1), kPad);
  ScoreEdits edits(kVocabulary, true);
  edits.begin(logits.data(), 0.0);
  edits.ban(kEos);
  for (int32_t step = 0; step < 100; ++step) EXPECT_EQ(sampler(logits.data(), edits, {0, 0, step}), kWordA);
  edits.force(kWordC);
  EXPECT_EQ(sampler(logits.data(), edits, {0, 0, 0}), kWordC);
  edits.ban(kWordC);
  EXPECT_EQ(sampler(logits.data(), edits, {0, 0, 0}), Sampler::kNone);
}

TEST(SamplePolicy, HypothesesEndEachByItself) {
  auto options = scenario(PolicyKind::kSample, 3, 0.0F, {3});
  BeamSearch search(options);
  search.start(Logits().row({{kWordA, 1.0}}).data());
  EXPECT_EQ(tokens_of(search), (Ids{kWordA, kWordA, kWordA}));
  search.advance(Logits().row({{kWordB, 1.0}}).row({{kEos, 1.0}}).row({{kWordC, 1.0}}).data());
  EXPECT_EQ(ancestry_of(search), (Ids{0, 0, 1, 1, 2, 2}));
  search.advance(Logits().row({{kEos, 1.0}}).nan_row().row({{kWordC, 0.5}, {kPad, 0.5}}).data());
  EXPECT_TRUE(search.done());
  const auto results = search.results()[0];
  EXPECT_EQ(results[0].tokens, (Ids{kWordA, kWordB}));
  EXPECT_EQ(results[1].tokens, (Ids{kWordA}));
  EXPECT_EQ(results[2].tokens, (Ids{kWordA, kWordC, kWordC}));
  EXPECT_NEAR(results[2].log_prob, std::log(0.5), 1e-6);
}

}  // namespace
}  // namespace nmt_trt
