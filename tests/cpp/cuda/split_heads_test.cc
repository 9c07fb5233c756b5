#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "core/errors.h"
#include "cuda/encoder_attention.h"
#include "cuda/packed_scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

// [B, heads, source, head_size], every byte 0xFF where nothing is to be written.
std::vector<std::byte> by_heads(const PackedScene& scene, PackedScene::Part part, int32_t source) {
  const auto heads = static_cast<size_t>(scene.shape.heads);
  const auto positions = static_cast<size_t>(source);
  const size_t head_bytes = static_cast<size_t>(scene.shape.head_size) * size_of(scene.type);
  std::vector<std::byte> bytes(scene.batch.size() * heads * positions * head_bytes, std::byte{0xFF});
  for (size_t sentence = 0; sentence < scene.batch.size(); ++sentence) {
    const Vectors numbers = scene.numbers(part, sentence);
    for (size_t position = 0; position < numbers.size(); ++position) {
      const auto encoded = encode(numbers[position], scene.type);
      for (size_t head = 0; head < heads; ++head) {
        const size_t to = ((sentence * heads + head) * positions + position) * head_bytes;
        std::copy_n(encoded.begin() + static_cast<std::ptrdiff_t>(head * head_bytes), head_bytes,
                    bytes.begin() + static_cast<std::ptrdiff_t>(to));
      }
    }
  }
  return bytes;
}

// With all tensors `offset` bytes past a multiple of 256; what lies before and behind them must stay.
void expect_split(const PackedScene& scene, int32_t source, size_t offset) {
  const PackedStage stage(scene);
  auto keys_values = scene.packed({PackedScene::kKey, PackedScene::kValue});
  keys_values.insert(keys_values.begin(), offset, std::byte{0xFF});
  auto expected_k = by_heads(scene, PackedScene::kKey, source);
  auto expected_v = by_heads(scene, PackedScene::kValue, source);
  for (auto* expected : {&expected_k, &expected_v}) {
    expected->insert(expected->begin(), offset, std::byte{0xFF});
    expected->insert(expected->end(), 64, std::byte{0xFF});
  }
  const DeviceArray<std::byte> from(keys_values);
  const DeviceArray<std::byte> cross_k(expected_k.size());
  const DeviceArray<std::byte> cross_v(expected_v.size());
  cuda::split_heads(stage.sources(), scene.shape, source, from.data() + offset, cross_k.data() + offset,
                    cross_v.data() + offset, scene.type, nullptr);
  NMT_TRT_CUDA(cudaDeviceSynchronize());
  EXPECT_TRUE(cross_k.values() == expected_k) << "source " << source << ", offset " << offset;
  EXPECT_TRUE(cross_v.values() == expected_v) << "source " << source << ", offset " << offset;
}

void split(cuda::PackedSources sources, cuda::HeadShape shape, DataType type) {
  cuda::split_heads(sources, shape, 8, nullptr, nullptr, nullptr, type, nullptr);
}

TEST(SplitHeadsUsageTest, RefusesWhatItCannotDo) {
  EXPECT_THROW(split({1, 1, nullptr, nullptr}, {1, 0, 1.0F}, DataType::kFloat32), UsageError);
  EXPECT_THROW(split({1, 1, nullptr, nullptr}, {1, 257, 1.0F}, DataType::kFloat32), UsageError);
  EXPECT_THROW(split({1, 1, nullptr, nullptr}, {1, 64, 1.0F}, DataType::kInt32), UsageError);
}

TEST(SplitHeadsUsageTest, NothingIsLaunchedForNothing) {
  EXPECT_NO_THROW(split({0, 5, nullptr, nullptr}, {1, 64, 1.0F}, DataType::kFloat16));
  EXPECT_NO_THROW(split({5, 0, nullptr, nullptr}, {1, 64, 1.0F}, DataType::kFloat16));
}

using Shape = std::tuple<DataType, int32_t, int32_t>;  // type, head size, heads

class SplitHeadsTest : public CudaTest, public ::testing::WithParamInterface<Shape> {};

TEST_P(SplitHeadsTest, CopiesEveryHeadOfEveryToken) {
  PackedScene scene;
  std::tie(scene.type, scene.shape.head_size, scene.shape.heads) = GetParam();
  expect_split(scene, scene.longest(), 0);
  scene.spare = 100;  // more blocks than there are positions
  expect_split(scene, 261, 0);
  for (const size_t offset : {2, 4, 8}) {
    if (offset % size_of(scene.type) == 0) expect_split(scene, 256, offset);
  }
}

std::string name_of_shape(const ::testing::TestParamInfo<Shape>& shape) {
  return std::string(name_of(std::get<0>(shape.param))) + "_head" + std::to_string(std::get<1>(shape.param)) +
         "_heads" + std::to_string(std::get<2>(shape.param));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, SplitHeadsTest,
    ::testing::Combine(::testing::Values(DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16),
                       ::testing::Values(1, 8, 20, 32, 33, 64, 80, 128, 256), ::testing::Values(1, 5, 8)),
    name_of_shape);

}  // namespace
}  // namespace nmt_trt
