#include "cuda/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/errors.h"
#include "cuda/attention_scene.h"
#include "cuda/graph.h"
#include "cuda/kernels/attention_layout.cuh"
#include "cuda/stream.h"

namespace nmt_trt {
namespace {

using namespace testing;

using Exact = std::vector<ExactElement> (*)(const AttentionScene&, int32_t, int32_t, int32_t);

// Compares all rows; those of padding and of finished sentences must be untouched.
void expect_exact(const AttentionScene& scene, const std::vector<std::byte>& out, int32_t step, Exact exact) {
  const double unit = unit_roundoff(scene.type);
  const double smallest = std::ldexp(1.0, -25);
  for (size_t row = 0; row < scene.rows.size(); ++row) {
    const int32_t name = scene.rows[row];
    if (!scene.lives(name)) {
      const auto bytes = out_row(scene, out, row);
      EXPECT_EQ(bytes, std::vector<std::byte>(bytes.size(), std::byte{0xFF})) << "row " << row;
      continue;
    }
    for (int32_t k = 0; k < scene.beam_size; ++k) {
      const auto wanted = exact(scene, name, step, k);
      const auto given = decode(out_of(scene, out, row, k), scene.type);
      for (size_t i = 0; i < given.size(); ++i) {
        const double error = std::fabs(given[i] - wanted[i].value);
        const double allowed = unit * std::fabs(wanted[i].value) + 1e-5 * wanted[i].magnitude + smallest;
        ASSERT_LE(error, allowed) << "step " << step << ", row " << row << ", hypothesis " << k
                                  << ", element " << i << ": " << given[i] << " for " << wanted[i].value;
      }
    }
  }
}

template <typename Layout>
void expect_layout() {
  std::set<int> elements;
  std::set<int> places;
  for (int lane = 0; lane < Layout::kLanes; ++lane) {
    for (int i = 0; i < cuda::kHeadPart; ++i) {
      elements.insert(Layout::element(lane, i));
      places.insert(Layout::place(lane, i));
      EXPECT_EQ(Layout::element_at(Layout::place(lane, i)), Layout::element(lane, i));
      EXPECT_EQ(Layout::element(lane, i),
                Layout::element(lane, i / Layout::kRun * Layout::kRun) + i % Layout::kRun);
      EXPECT_EQ(Layout::place(lane, i), Layout::place(lane, i / 4 * 4) + i % 4);
    }
    EXPECT_EQ(Layout::element(lane, 0) % Layout::kRun, 0);
    EXPECT_EQ(Layout::place(lane, 0) % 4, 0);
  }
  EXPECT_EQ(elements.size(), static_cast<size_t>(Layout::kElements));
  EXPECT_EQ(*elements.rbegin(), Layout::kElements - 1);
  EXPECT_EQ(places.size(), static_cast<size_t>(Layout::kElements));
  EXPECT_EQ(*places.rbegin(), Layout::kElements - 1);

  std::set<int32_t> positions;
  for (int32_t turn = 0; turn < 5; ++turn) {
    for (int group = 0; group < Layout::kGroups; ++group) positions.insert(Layout::position(turn, group));
  }
  EXPECT_EQ(positions.size(), static_cast<size_t>(5 * Layout::kGroups));
  EXPECT_EQ(*positions.rbegin(), 5 * Layout::kGroups - 1);
}

TEST(AttentionLayoutTest, EveryElementHasOnePlaceAndEveryPositionOneGroup) {
  expect_layout<cuda::HeadLayout<64, 8, 8>>();
  expect_layout<cuda::HeadLayout<64, 16, 8>>();
  expect_layout<cuda::HeadLayout<128, 8, 4>>();
  expect_layout<cuda::HeadLayout<128, 16, 4>>();
  expect_layout<cuda::HeadLayout<64, 32, 1>>();
}

TEST(AttentionLayoutTest, SlotsFollowTheAncestry) {
  EXPECT_EQ(cuda::cache_slot(0, 3, 4), 0);
  EXPECT_EQ(cuda::cache_slot(1, 3, 4), 7);
  EXPECT_EQ(cuda::cache_slot(9, 0, 4), 36);
}

TEST(AttentionLayoutTest, StepsEndWithTheCacheOrTheAncestry) {
  EXPECT_EQ(cuda::steps_with_room(64, 4, 32), 16);
  EXPECT_EQ(cuda::steps_with_room(67, 4, 32), 16);
  EXPECT_EQ(cuda::steps_with_room(3, 4, 32), 0);
  EXPECT_EQ(cuda::steps_with_room(64, 4, 16), 16);
  EXPECT_EQ(cuda::steps_with_room(64, 4, 15), 16);
  EXPECT_EQ(cuda::steps_with_room(64, 4, 14), 15);
}

void attend_to(cuda::HeadShape shape, DataType type, uintptr_t address) {
  cuda::StepInputs inputs{};
  inputs.rows = 1;
  void* tensor = reinterpret_cast<void*>(address);
  cuda::self_attention({}, inputs, shape, tensor, tensor, tensor, tensor, type, nullptr);
}

TEST(AttentionUsageTest, RefusesWhatItCannotDo) {
  EXPECT_THROW(attend_to({1, 0, 1.0F}, DataType::kFloat32, 0), UsageError);
  EXPECT_THROW(attend_to({1, 257, 1.0F}, DataType::kFloat32, 0), UsageError);
  EXPECT_THROW(attend_to({1, 64, 1.0F}, DataType::kInt32, 0), UsageError);
  EXPECT_THROW(attend_to({1, 64, 1.0F}, DataType::kFloat16, 8), UsageError);
}

using Shape = std::tuple<DataType, int32_t, int32_t>;  // type, beam size, head size

class AttentionShapeTest : public CudaTest, public ::testing::WithParamInterface<Shape> {
 protected:
  static AttentionScene scene() {
    AttentionScene scene;
    std::tie(scene.type, scene.beam_size, scene.shape.head_size) = GetParam();
    scene.shape.heads = scene.beam_size * scene.shape.head_size <= 512 ? 8 : 1;
    scene.shape.scale = 1.0F / std::sqrt(static_cast<float>(scene.shape.head_size));
    scene.slots = scene.beam_size * 10;
    scene.rows = {0, -1, 1, 2, 3};
    scene.finished = {2};
    return scene;
  }
};

TEST_P(AttentionShapeTest, SelfAttendsToAncestorsAndAppends) {
  const AttentionScene shaped = scene();
  AttentionStage stage(shaped);
  for (int32_t step = 0; step < 9; ++step) {
    const auto out = stage.self(step);
    expect_exact(shaped, out, step, exact_self_attention);
    EXPECT_EQ(stage.cache(), stage.expected_cache(step + 1)) << "step " << step;
    if (HasFailure()) break;
  }
}

TEST_P(AttentionShapeTest, CrossAttendsToTheSource) {
  const AttentionScene shaped = scene();
  AttentionStage stage(shaped);
  expect_exact(shaped, stage.cross(3), 3, exact_cross_attention);
}

std::string name_of_shape(const ::testing::TestParamInfo<Shape>& shape) {
  return std::string(name_of(std::get<0>(shape.param))) + "_beam" + std::to_string(std::get<1>(shape.param)) +
         "_head" + std::to_string(std::get<2>(shape.param));
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionShapeTest,
                         ::testing::Combine(::testing::Values(DataType::kFloat32, DataType::kFloat16,
                                                              DataType::kBFloat16),
                                            ::testing::Values(1, 3, 4, 8, 32),
                                            ::testing::Values(1, 4, 7, 8, 16, 20, 32, 64, 80, 128, 136, 256)),
                         name_of_shape);

class AttentionTest : public CudaTest {};

TEST_F(AttentionTest, LongHistories) {
  for (const DataType type : {DataType::kFloat32, DataType::kFloat16}) {
    for (const int32_t head_size : {20, 64, 128}) {
      AttentionScene scene;
      scene.type = type;
      scene.beam_size = 3;
      scene.shape = {1, head_size, 0.125F};
      scene.slots = 3 * 1101;
      scene.capacity = 1100;
      AttentionStage stage(scene);
      for (const int32_t step : {15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 1023, 1100}) {
        stage.fill_cache(step);
        expect_exact(scene, stage.self(step), step, exact_self_attention);
      }
    }
  }
}

TEST_F(AttentionTest, LongSources) {
  for (const DataType type : {DataType::kFloat32, DataType::kFloat16}) {
    for (const int32_t head_size : {20, 64, 128}) {
      AttentionScene scene;
      scene.type = type;
      scene.shape = {1, head_size, 0.125F};
      scene.source = 1100;
      scene.lengths = {15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 1023, 1100};
      scene.rows = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
      AttentionStage stage(scene);
      expect_exact(scene, stage.cross(1), 1, exact_cross_attention);
    }
  }
}

// Scores of some hundreds, whose powers leave the range of floats.
TEST_F(AttentionTest, LargeScores) {
  AttentionScene scene;
  scene.type = DataType::kFloat16;
  scene.shape.scale = 8.0F;
  AttentionStage stage(scene);
  for (int32_t step = 0; step < 8; ++step) {
    for (const float value : decode(stage.self(step), scene.type)) EXPECT_LE(std::fabs(value), 2.0F);
  }
  for (const float value : decode(stage.cross(1), scene.type)) EXPECT_LE(std::fabs(value), 2.0F);
}

TEST_F(AttentionTest, NothingIsWrittenPastTheCacheOrTheAncestry) {
  AttentionScene scene;
  scene.slots = 4 * 6 + 3;
  scene.capacity = 9;
  for (const int32_t last : {5, 3}) {  // of the cache, then of the ancestry
    if (last == 3) scene.capacity = 3;
    AttentionStage stage(scene);
    stage.fill_cache(last);
    expect_exact(scene, stage.self(last), last, exact_self_attention);
    EXPECT_EQ(stage.cache(), stage.expected_cache(last + 1));
    for (const int32_t step : {last + 1, last + 2, 1000}) {
      const auto out = stage.self(step);
      EXPECT_EQ(out, std::vector<std::byte>(out.size(), std::byte{0xFF}));
      EXPECT_EQ(stage.cache(), stage.expected_cache(last + 1));
    }
  }
}

std::vector<std::byte> last_of_steps(const AttentionScene& scene, int32_t steps) {
  AttentionStage stage(scene);
  for (int32_t step = 0; step + 1 < steps; ++step) stage.self(step);
  return stage.self(steps - 1);
}

TEST_F(AttentionTest, BitsDependOnTheSentenceAlone) {
  for (const int32_t head_size : {20, 64, 128}) {
    AttentionScene alone;
    alone.shape.head_size = head_size;
    alone.rows = {3};
    alone.slots = 4 * 19;
    alone.source = 9;
    AttentionScene among = alone;
    among.rows = {1, -1, 0, 3, 2};
    among.slots = 4 * 50 + 1;
    among.capacity = 49;
    among.source = 31;
    EXPECT_EQ(last_of_steps(alone, 19), out_row(among, last_of_steps(among, 19), 3));
    EXPECT_EQ(AttentionStage(alone).cross(2), out_row(among, AttentionStage(among).cross(2), 3));
  }
}

TEST_F(AttentionTest, BitsDoNotDependOnTheNumberOfTheHypothesis) {
  for (const int32_t beam_size : {4, 5}) {
    AttentionScene scene;
    scene.beam_size = beam_size;
    scene.slots = beam_size * 20;
    AttentionScene turned = scene;
    turned.turned = 3;
    const auto self = last_of_steps(scene, 20);
    const auto turned_self = last_of_steps(turned, 20);
    const auto cross = AttentionStage(scene).cross(2);
    const auto turned_cross = AttentionStage(turned).cross(2);
    for (int32_t k = 0; k < beam_size; ++k) {
      const int32_t other = (k + 3) % beam_size;
      EXPECT_EQ(out_of(scene, self, 0, k), out_of(turned, turned_self, 0, other));
      EXPECT_EQ(out_of(scene, cross, 0, k), out_of(turned, turned_cross, 0, other));
    }
  }
}

TEST_F(AttentionTest, HypothesesDoNotReadEachOther) {
  const AttentionScene scene;
  const auto cross = AttentionStage(scene).cross(2);
  AttentionStage stage(scene);
  stage.fill_cache(6);
  const auto self = stage.self(6);
  for (int32_t k = 0; k < scene.beam_size; ++k) {
    EXPECT_EQ(out_of(scene, self, 1, k), out_of(scene, stage.self(6, k), 1, k));
    EXPECT_EQ(out_of(scene, cross, 1, k), out_of(scene, AttentionStage(scene).cross(2, k), 1, k));
  }
}

TEST_F(AttentionTest, OneGraphServesAllSteps) {
  const AttentionScene scene;
  AttentionStage direct(scene);
  AttentionStage replayed(scene);
  const cuda::Stream stream;
  const cuda::Graph self = cuda::capture(stream.get(), [&] { replayed.launch_self(stream.get()); });
  const cuda::Graph cross = cuda::capture(stream.get(), [&] { replayed.launch_cross(stream.get()); });
  EXPECT_EQ(self.nodes().total(), 1U);
  for (int32_t step = 0; step < 16; ++step) {
    replayed.prepare(step);
    self.launch(stream.get());
    stream.synchronize();
    EXPECT_EQ(replayed.out(), direct.self(step)) << "step " << step;
    cross.launch(stream.get());
    stream.synchronize();
    EXPECT_EQ(replayed.out(), direct.cross(step)) << "step " << step;
  }
  EXPECT_EQ(replayed.cache(), direct.expected_cache(16));
}

}  // namespace
}  // namespace nmt_trt
