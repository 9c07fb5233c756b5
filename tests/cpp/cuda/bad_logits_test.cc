#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"
#include "cuda/search_logits.h"

namespace nmt_trt {
namespace {

using namespace testing;

class BadLogits : public CudaTest {};

SearchOptions four_sentences(PolicyKind policy) { return search_options(policy, 3, 50, {8, 8, 8, 8}, 0.0F); }

void run(PolicyKind policy, float bad, int32_t good_steps) {
  const SearchOptions options = four_sentences(policy);
  const std::vector<int32_t> rows = {2, 0, -1, 3, 1};
  Random random(11);
  GpuSearch gpu(options, 5, 8);
  GpuStage stage(options, rows, 8 * options.beam_size);
  gpu.start(stage);
  bool settled = true;
  const auto draw = [&] {
    auto logits = draw_logits(random, options, gpu.snapshot(), DataType::kFloat32, false, settled).values;
    for (size_t i = 1; i < logits.size(); i += 50) logits[i] -= 100.0F;  // no early end
    return logits;
  };
  const auto step = [&](const std::vector<float>& logits) {
    gpu.step(stage, encode(rows_of(logits, rows, 150), DataType::kFloat32), DataType::kFloat32);
  };
  for (int32_t i = 0; i < good_steps; ++i) step(draw());
  SearchSnapshot expected = gpu.snapshot();
  ASSERT_EQ(expected.steps, good_steps);
  const auto token = stage.token.values();
  const auto position = stage.position.values();

  auto logits = draw();
  const auto good = logits;
  std::fill_n(logits.begin() + 3 * 150, 50, bad);  // of sentence 3, hypothesis 0
  step(logits);
  expected.progress.bad_logits = 1;
  expect_same(gpu.snapshot(), expected);
  step(good);
  expect_same(gpu.snapshot(), expected);
  EXPECT_EQ(stage.token.values(), token);
  EXPECT_EQ(stage.position.values(), position);

  gpu.start(stage);
  const SearchSnapshot again = gpu.snapshot();
  EXPECT_EQ(again.progress.bad_logits, 0);
  EXPECT_EQ(again.active(), 4);
  step(draw());
  EXPECT_EQ(gpu.snapshot().progress.steps(), 1);
}

TEST_F(BadLogits, ChangeNothing) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const PolicyKind policy : {PolicyKind::kGnmt, PolicyKind::kNemo, PolicyKind::kHf}) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
      for (const int32_t good_steps : {0, 1, 4}) {
        SCOPED_TRACE(std::to_string(bad) + " after " + std::to_string(good_steps) + " steps");
        run(policy, bad, good_steps);
      }
    }
  }
}

TEST_F(BadLogits, OfRowsThatNobodyLooksAtDoNotMatter) {
  const SearchOptions options = four_sentences(PolicyKind::kGnmt);
  GpuSearch gpu(options, 5, 8);
  GpuStage stage(options, {0, 1, -1, 2, 3}, 8 * options.beam_size);
  gpu.start(stage);
  // Only the first hypothesis of each sentence has numbers.
  std::vector<float> logits(5 * 150, std::numeric_limits<float>::quiet_NaN());
  for (const size_t row : {0U, 1U, 3U, 4U})
    std::fill_n(logits.begin() + static_cast<int>(row) * 150, 50, 0.5F);
  gpu.step(stage, encode(logits, DataType::kFloat32), DataType::kFloat32);
  EXPECT_EQ(gpu.snapshot().progress.bad_logits, 0);
  EXPECT_EQ(gpu.snapshot().progress.steps(), 1);
}

TEST_F(BadLogits, AFullCacheStopsTheSearch) {
  const SearchOptions options = four_sentences(PolicyKind::kGnmt);
  Random random(5);
  GpuSearch gpu(options, 4, 8);
  const std::vector<int32_t> rows = {0, 1, 2, 3};
  GpuStage stage(options, rows, 3 * options.beam_size);
  gpu.start(stage);
  for (int i = 0; i < 6; ++i) {
    std::vector<float> logits(4 * 150);
    for (float& logit : logits) logit = random.bell();
    for (size_t row = 0; row < 12; ++row) logits[row * 50 + 1] = -100.0F;  // EOS
    gpu.step(stage, encode(logits, DataType::kFloat32), DataType::kFloat32);
  }
  EXPECT_EQ(gpu.snapshot().steps, 3);
  EXPECT_EQ(gpu.snapshot().active(), 4);
  EXPECT_EQ(stage.position.values()[0], 2);
}

}  // namespace
}  // namespace nmt_trt
