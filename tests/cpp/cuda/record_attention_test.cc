#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "core/errors.h"
#include "cuda/attention.h"
#include "cuda/attention_scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

constexpr cuda::AttentionRecord kRoom = {nullptr, 8, 5, 24};

// Those of hypothesis k of a row.
std::vector<float> row_of(const AttentionStage& stage, const std::vector<float>& recorded, size_t row,
                          int32_t step, int32_t k, const cuda::AttentionRecord& room) {
  const auto begin = recorded.begin() + static_cast<std::ptrdiff_t>(stage.recorded_at(row, step, k, room));
  return {begin, begin + room.source};
}

size_t count_written(const std::vector<float>& recorded) {
  size_t written = 0;
  for (const float value : recorded) written += std::isnan(value) ? 0 : 1;
  return written;
}

// Compares all rows; nothing else must be written.
void expect_exact(const AttentionScene& scene, int32_t step, const cuda::AttentionRecord& room) {
  AttentionStage stage(scene);
  const std::vector<float> recorded = stage.record(step, room);
  size_t wanted_rows = 0;
  for (size_t row = 0; row < scene.rows.size(); ++row) {
    const int32_t name = scene.rows[row];
    if (!scene.lives(name)) continue;
    for (int32_t k = 0; k < scene.beam_size; ++k, ++wanted_rows) {
      auto wanted = exact_cross_weights(scene, name, step, k);
      wanted.resize(static_cast<size_t>(room.source), 0.0);
      const auto given = row_of(stage, recorded, row, step, k, room);
      for (size_t i = 0; i < wanted.size(); ++i) {
        ASSERT_NEAR(given[i], wanted[i], 1e-5 * wanted[i] + 1e-9)
            << "row " << row << ", hypothesis " << k << ", position " << i;
      }
    }
  }
  EXPECT_EQ(count_written(recorded), wanted_rows * static_cast<size_t>(room.source));
}

using Shape = std::tuple<DataType, int32_t, int32_t>;  // type, beam size, head size

class RecordAttentionShapeTest : public CudaTest, public ::testing::WithParamInterface<Shape> {};

TEST_P(RecordAttentionShapeTest, IsTheMeanOfTheHeads) {
  AttentionScene scene;
  std::tie(scene.type, scene.beam_size, scene.shape.head_size) = GetParam();
  scene.shape.heads = 6;
  scene.shape.scale = 1.0F / std::sqrt(static_cast<float>(scene.shape.head_size));
  scene.rows = {0, -1, 1, 2, 3};
  scene.finished = {2};
  expect_exact(scene, 3, kRoom);
}

std::string name_of_shape(const ::testing::TestParamInfo<Shape>& shape) {
  return std::string(name_of(std::get<0>(shape.param))) + "_beam" + std::to_string(std::get<1>(shape.param)) +
         "_head" + std::to_string(std::get<2>(shape.param));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, RecordAttentionShapeTest,
    ::testing::Combine(::testing::Values(DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16),
                       ::testing::Values(1, 4, 32), ::testing::Values(1, 7, 32, 64, 80, 128, 256)),
    name_of_shape);

class RecordAttentionTest : public CudaTest {};

TEST_F(RecordAttentionTest, LongSources) {
  AttentionScene scene;
  scene.source = 1100;
  scene.lengths = {1, 31, 32, 33, 127, 128, 129, 1100};
  scene.rows = {0, 1, 2, 3, 4, 5, 6, 7};
  expect_exact(scene, 0, {nullptr, 8, 1, 1100});
}

TEST_F(RecordAttentionTest, LargeScoresStayFinite) {
  AttentionScene scene;
  scene.shape.scale = 8.0F;
  AttentionStage stage(scene);
  const auto recorded = stage.record(1, kRoom);
  for (size_t row = 0; row < scene.rows.size(); ++row) {
    float sum = 0;
    for (const float value : row_of(stage, recorded, row, 1, 2, kRoom)) sum += value;
    EXPECT_NEAR(sum, 1.0F, 1e-5F);
  }
}

TEST_F(RecordAttentionTest, BitsDependOnTheSentenceAlone) {
  AttentionScene alone;
  alone.rows = {3};
  alone.source = 9;
  AttentionScene among = alone;
  among.rows = {1, -1, 0, 3, 2};
  among.source = 31;
  AttentionStage one(alone);
  AttentionStage other(among);
  constexpr cuda::AttentionRecord kNarrow = {nullptr, 1, 3, 9};
  const auto found = row_of(one, one.record(2, kNarrow), 0, 2, 1, kNarrow);
  auto wanted = row_of(other, other.record(2, kRoom), 3, 2, 1, kRoom);
  wanted.resize(9);
  EXPECT_EQ(bits_of(found), bits_of(wanted));
}

TEST_F(RecordAttentionTest, NothingIsWrittenWithoutRoom) {
  const AttentionScene scene;
  AttentionStage stage(scene);
  EXPECT_EQ(count_written(stage.record(5, kRoom)), 0U);
  EXPECT_EQ(count_written(stage.record(1, {nullptr, 0, 5, 24})), 0U);
  EXPECT_GT(count_written(stage.record(4, kRoom)), 0U);
}

TEST(RecordAttentionUsageTest, RefusesASourceThatIsTooLong) {
  cuda::StepInputs inputs{};
  inputs.rows = 1;
  const auto record = [&inputs](int32_t source) {
    cuda::record_attention({}, inputs, {1, 64, 1.0F}, source, nullptr, nullptr, nullptr, DataType::kFloat32,
                           nullptr);
  };
  EXPECT_THROW(record(cuda::kMaxRecordedSource + 1), UsageError);
}

}  // namespace
}  // namespace nmt_trt
