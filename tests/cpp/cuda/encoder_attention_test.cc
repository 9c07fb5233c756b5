#include "cuda/encoder_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "core/errors.h"
#include "cuda/attention_scene.h"
#include "cuda/exact_attention.h"
#include "cuda/graph.h"
#include "cuda/packed_scene.h"
#include "cuda/stream.h"

namespace nmt_trt {
namespace {

using namespace testing;

const std::vector<PackedScene::Part> kQkv = {PackedScene::kQuery, PackedScene::kKey, PackedScene::kValue};

// A scene's attention, in rows that were NaN before.
std::vector<std::byte> attend(const PackedScene& scene, bool causal) {
  const PackedStage stage(scene);
  const DeviceArray<std::byte> qkv(scene.packed(kQkv));
  const DeviceArray<std::byte> out(qkv.size() / kQkv.size());
  cuda::encoder_attention(stage.sources(), scene.shape, causal, qkv.data(), out.data(), scene.type, nullptr);
  NMT_TRT_CUDA(cudaDeviceSynchronize());
  return out.values();
}

/// What may differ from double precision.
struct Tolerance {
  /// The weights' relative error, of rounding them to a type before they meet the values.
  double weight = 0;
  /// And of scores and sums in fp32, which grows with the scores.
  double single = 1e-5;
};

Tolerance tolerance_of(const PackedScene& scene) {
  Tolerance tolerance;
  if (scene.type != DataType::kFloat32) tolerance.weight = unit_roundoff(scene.type);
  const double spread = scene.shape.scale * std::sqrt(static_cast<double>(scene.shape.head_size));
  tolerance.single *= std::max(1.0, spread);
  return tolerance;
}

void expect_exact(const PackedScene& scene, const std::vector<std::byte>& out, bool causal,
                  Tolerance tolerance) {
  const auto between = scene.out_between(out);
  EXPECT_EQ(between, std::vector<std::byte>(between.size(), std::byte{0xFF}));
  const double unit = unit_roundoff(scene.type);
  const double smallest = std::ldexp(1.0, -25);  // half of fp16's least number
  for (size_t sentence = 0; sentence < scene.batch.size(); ++sentence) {
    if (scene.batch[sentence] < 0) continue;
    const auto given = decode(scene.out_of(out, sentence), scene.type);
    const Vectors queries = scene.numbers(PackedScene::kQuery, sentence);
    const Vectors keys = scene.numbers(PackedScene::kKey, sentence);
    const Vectors values = scene.numbers(PackedScene::kValue, sentence);
    for (size_t position = 0; position < queries.size(); ++position) {
      const size_t positions = causal ? position + 1 : queries.size();
      const auto wanted = exact_attention(scene.shape, queries[position], keys, values, positions);
      // Of weights too small for their type, next to one of 1, times values of at most 2.
      const double vanished = tolerance.weight == 0 ? 0 : 2 * static_cast<double>(positions) * smallest;
      for (size_t i = 0; i < wanted.size(); ++i) {
        const double value = given[position * wanted.size() + i];
        const double allowed = unit * std::fabs(wanted[i].value) +
                               (tolerance.weight + tolerance.single) * wanted[i].magnitude + vanished +
                               smallest;
        ASSERT_LE(std::fabs(value - wanted[i].value), allowed)
            << "length " << queries.size() << ", position " << position << ", element " << i
            << (causal ? ", causal: " : ": ") << value << " for " << wanted[i].value;
      }
    }
  }
}

void attend_to(cuda::HeadShape shape, DataType type, uintptr_t qkv, uintptr_t out) {
  cuda::encoder_attention({1, 1, nullptr, nullptr}, shape, false, reinterpret_cast<void*>(qkv),
                          reinterpret_cast<void*>(out), type, nullptr);
}

TEST(EncoderAttentionUsageTest, RefusesWhatItCannotDo) {
  EXPECT_THROW(attend_to({1, 0, 1.0F}, DataType::kFloat32, 0, 0), UsageError);
  EXPECT_THROW(attend_to({1, 257, 1.0F}, DataType::kFloat32, 0, 0), UsageError);
  EXPECT_THROW(attend_to({1, 64, 1.0F}, DataType::kInt32, 0, 0), UsageError);
  EXPECT_THROW(attend_to({1, 64, 1.0F}, DataType::kFloat16, 8, 0), UsageError);
  EXPECT_THROW(attend_to({1, 64, 1.0F}, DataType::kFloat16, 0, 8), UsageError);
}

TEST(EncoderAttentionUsageTest, NothingIsLaunchedForNothing) {
  for (const cuda::PackedSources sources :
       {cuda::PackedSources{0, 5, nullptr, nullptr}, cuda::PackedSources{5, 0, nullptr, nullptr}}) {
    EXPECT_NO_THROW(cuda::encoder_attention(sources, {1, 64, 0.125F}, false, nullptr, nullptr,
                                            DataType::kFloat16, nullptr));
  }
}

using Shape = std::tuple<DataType, int32_t, int32_t>;  // type, head size, heads

class EncoderAttentionShapeTest : public CudaTest, public ::testing::WithParamInterface<Shape> {
 protected:
  static PackedScene scene() {
    PackedScene scene;
    std::tie(scene.type, scene.shape.head_size, scene.shape.heads) = GetParam();
    scene.shape.scale = 1.0F / std::sqrt(static_cast<float>(scene.shape.head_size));
    // More than any block reads.
    scene.gap = 65;
    return scene;
  }
};

TEST_P(EncoderAttentionShapeTest, AttendsToTheSentence) {
  const PackedScene shaped = scene();
  expect_exact(shaped, attend(shaped, false), false, tolerance_of(shaped));
}

TEST_P(EncoderAttentionShapeTest, AttendsToWhatComesBefore) {
  const PackedScene shaped = scene();
  expect_exact(shaped, attend(shaped, true), true, tolerance_of(shaped));
}

// All weights are 1, which no type rounds: a position too many or too few shows in every type.
TEST_P(EncoderAttentionShapeTest, AveragesUnderEqualScores) {
  PackedScene shaped = scene();
  shaped.shape.scale = 0.0F;
  for (const bool causal : {false, true}) expect_exact(shaped, attend(shaped, causal), causal, {});
}

// Scores of some hundreds, whose powers leave the range of floats: almost all weight is on one position.
TEST_P(EncoderAttentionShapeTest, LargeScores) {
  PackedScene shaped = scene();
  shaped.shape.scale *= 64;
  for (const bool causal : {false, true}) {
    expect_exact(shaped, attend(shaped, causal), causal, tolerance_of(shaped));
  }
}

TEST_P(EncoderAttentionShapeTest, BitsDependOnTheSentenceAlone) {
  PackedScene among = scene();
  among.gap = 1;
  for (const bool causal : {false, true}) {
    const auto out = attend(among, causal);
    for (size_t sentence = 0; sentence < among.batch.size(); ++sentence) {
      if (among.batch[sentence] < 0) continue;
      PackedScene alone = among;
      alone.batch = {among.batch[sentence]};
      alone.gap = 3;
      alone.spare = sentence % 2 == 0 ? 0 : 200;
      EXPECT_EQ(alone.out_of(attend(alone, causal), 0), among.out_of(out, sentence))
          << "length " << among.length_of(sentence) << (causal ? ", causal" : "");
    }
  }
}

std::string name_of_shape(const ::testing::TestParamInfo<Shape>& shape) {
  return std::string(name_of(std::get<0>(shape.param))) + "_head" + std::to_string(std::get<1>(shape.param)) +
         "_heads" + std::to_string(std::get<2>(shape.param));
}

const auto kTypes = ::testing::Values(DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16);
INSTANTIATE_TEST_SUITE_P(
    Shapes, EncoderAttentionShapeTest,
    ::testing::Combine(kTypes, ::testing::Values(1, 8, 16, 20, 32, 33, 64, 80, 112, 128, 136, 256),
                       ::testing::Values(1, 5)),
    name_of_shape);
INSTANTIATE_TEST_SUITE_P(ManyHeads, EncoderAttentionShapeTest,
                         ::testing::Combine(kTypes, ::testing::Values(8, 20, 64), ::testing::Values(8)),
                         name_of_shape);

class EncoderAttentionTest : public CudaTest {};

TEST_F(EncoderAttentionTest, RandomLengths) {
  PackedScene scene;
  scene.batch.clear();
  scene.lengths.clear();
  for (int32_t name = 0; name < 60; ++name) {
    scene.lengths.push_back(1 + static_cast<int32_t>(hash_of({name}) % 200));
    scene.batch.push_back(name % 7 == 3 ? -1 : name);
  }
  scene.gap = 0;
  for (const DataType type : {DataType::kFloat32, DataType::kFloat16}) {
    scene.type = type;
    for (const bool causal : {false, true}) {
      expect_exact(scene, attend(scene, causal), causal, tolerance_of(scene));
    }
  }
}

TEST_F(EncoderAttentionTest, LongSources) {
  PackedScene scene;
  scene.shape.heads = 1;
  scene.lengths = {1023, 1100};
  scene.batch = {1, 0};
  for (const DataType type : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16}) {
    scene.type = type;
    for (const bool causal : {false, true}) {
      expect_exact(scene, attend(scene, causal), causal, tolerance_of(scene));
    }
  }
}

TEST_F(EncoderAttentionTest, ManySentences) {
  PackedScene scene;
  scene.lengths = {3, 20};
  scene.batch.assign(65535, -1);
  scene.batch.front() = 0;
  scene.batch.back() = 1;
  for (const DataType type : {DataType::kFloat32, DataType::kFloat16}) {
    scene.type = type;
    expect_exact(scene, attend(scene, false), false, tolerance_of(scene));
  }
}

TEST_F(EncoderAttentionTest, OneGraphServesAllBatches) {
  PackedScene first;
  PackedScene second;
  second.batch = {8, 2, -1, -1, -1, 0, 7, 1, 4, 3, 5};
  for (const DataType type : {DataType::kFloat32, DataType::kFloat16}) {
    first.type = second.type = type;
    const auto rows = static_cast<size_t>(std::max(first.rows(), second.rows()));
    const size_t row_bytes = static_cast<size_t>(first.hidden()) * size_of(type);
    const auto count = static_cast<int32_t>(first.batch.size());
    const DeviceArray<int32_t> starts(first.batch.size());
    const DeviceArray<int32_t> lengths(first.batch.size());
    DeviceArray<std::byte> qkv(rows * 3 * row_bytes);
    DeviceArray<std::byte> out(rows * row_bytes);
    const cuda::Stream stream;
    const cuda::Graph graph = cuda::capture(stream.get(), [&] {
      cuda::encoder_attention({count, 300, starts.data(), lengths.data()}, first.shape, false, qkv.data(),
                              out.data(), type, stream.get());
    });
    EXPECT_EQ(graph.nodes().total(), 1U);
    for (const PackedScene& scene : {first, second}) {
      const PackedStage stage(scene);
      NMT_TRT_CUDA(cudaMemcpy(starts.data(), stage.sources().starts, starts.size() * sizeof(int32_t),
                              cudaMemcpyDeviceToDevice));
      NMT_TRT_CUDA(cudaMemcpy(lengths.data(), stage.sources().lengths, lengths.size() * sizeof(int32_t),
                              cudaMemcpyDeviceToDevice));
      qkv.upload(scene.packed(kQkv));
      out.upload(std::vector<std::byte>(out.size(), std::byte{0xFF}));
      graph.launch(stream.get());
      stream.synchronize();
      auto replayed = out.values();
      replayed.resize(static_cast<size_t>(scene.rows()) * row_bytes);
      EXPECT_EQ(replayed, attend(scene, false));
    }
  }
}

}  // namespace
}  // namespace nmt_trt
