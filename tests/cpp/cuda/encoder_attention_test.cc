#include "cuda/encoder_attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "cuda/attention_scene.h"
#include "cuda/gpu.h"
#include "cuda/random_logits.h"

namespace nmt_trt {
namespace {

using namespace testing;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16};

size_t size(int64_t count) { return static_cast<size_t>(count); }

/// Sources in rows; what no source has is NaN.
struct PackedScene {
  DataType type = DataType::kFloat16;
  cuda::HeadShape shape = {2, 64, 0.125F};
  bool causal = false;
  /// Rows before the first source, between two, and behind the last.
  int32_t gap = 0;
  int32_t longest = 0;
  /// The seed of each source's numbers and its length; 0: padding of the batch.
  std::vector<std::pair<uint64_t, int32_t>> sources;
  float scale_of_values = 1.0F;

  int32_t hidden() const { return shape.heads * shape.head_size; }
  int32_t start(size_t index) const {
    int32_t row = gap;
    for (size_t i = 0; i < index; ++i) row += sources[i].second + gap;
    return row;
  }
  int32_t tokens() const { return start(sources.size()); }
  /// [length, parts * hidden] of one source, rounded to `type`.
  std::vector<float> numbers(size_t index, int32_t parts) const {
    Random random(sources[index].first);
    std::vector<float> values(size(sources[index].second) * size(parts * hidden()));
    for (float& value : values) value = rounded(scale_of_values * (4.0F * random.unit() - 2.0F), type);
    return values;
  }
  std::vector<float> rows(int32_t parts) const {
    std::vector<float> all(size(tokens()) * size(parts * hidden()), kNan);
    for (size_t i = 0; i < sources.size(); ++i) {
      const auto own = numbers(i, parts);
      std::copy(own.begin(), own.end(), all.begin() + int64_t{start(i)} * parts * hidden());
    }
    return all;
  }
};

/// Where the sources are, on the device.
class Places {
 public:
  explicit Places(const PackedScene& scene) {
    std::vector<int32_t> starts;
    std::vector<int32_t> lengths;
    longest_ = scene.longest;
    for (size_t i = 0; i < scene.sources.size(); ++i) {
      starts.push_back(scene.start(i));
      lengths.push_back(scene.sources[i].second);
      longest_ = std::max(longest_, scene.sources[i].second);
    }
    starts_ = DeviceArray<int32_t>(starts);
    lengths_ = DeviceArray<int32_t>(lengths);
  }
  cuda::PackedSources packed() const {
    return {static_cast<int32_t>(starts_.size()), longest_, starts_.data(), lengths_.data()};
  }
  int32_t longest() const { return longest_; }

 private:
  DeviceArray<int32_t> starts_, lengths_;
  int32_t longest_;
};

/// The bytes of `out`.
std::vector<std::byte> attend(const PackedScene& scene) {
  const Places places(scene);
  const DeviceArray<std::byte> qkv(encode(scene.rows(3), scene.type));
  DeviceArray<std::byte> out(size(scene.tokens()) * size(scene.hidden()) * size_of(scene.type));
  cuda::encoder_attention(places.packed(), scene.shape, scene.causal, qkv.data(), out.data(), scene.type,
                          nullptr);
  NMT_TRT_CUDA(cudaDeviceSynchronize());
  return out.values();
}

std::vector<std::byte> bytes_of_source(const PackedScene& scene, const std::vector<std::byte>& out,
                                       size_t index) {
  const size_t row = size(scene.hidden()) * size_of(scene.type);
  const auto first = out.begin() + static_cast<std::ptrdiff_t>(size(scene.start(index)) * row);
  return {first, first + static_cast<std::ptrdiff_t>(size(scene.sources[index].second) * row)};
}

/// One element straight from the definition.
ExactElement exact(const PackedScene& scene, const std::vector<float>& qkv, int32_t length, int32_t token,
                   int32_t element) {
  const size_t row = size(3 * scene.hidden());
  const int32_t first = element / scene.shape.head_size * scene.shape.head_size;
  const int32_t seen = scene.causal ? token + 1 : length;
  std::vector<double> scores(size(seen), 0.0);
  for (int32_t other = 0; other < seen; ++other) {
    for (int32_t i = first; i < first + scene.shape.head_size; ++i) {
      scores[size(other)] += static_cast<double>(qkv[size(token) * row + size(i)]) *
                             static_cast<double>(qkv[size(other) * row + size(scene.hidden() + i)]);
    }
    scores[size(other)] *= static_cast<double>(scene.shape.scale);
  }
  const double most = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  ExactElement found;
  for (int32_t other = 0; other < seen; ++other) {
    const double weight = std::exp(scores[size(other)] - most);
    const double value = static_cast<double>(qkv[size(other) * row + size(2 * scene.hidden() + element)]);
    sum += weight;
    found.value += weight * value;
    found.magnitude += weight * std::fabs(value);
  }
  return {found.value / sum, found.magnitude / sum};
}

// Weights are fp32, or rounded to the type before they meet the values.
void expect_exact(const PackedScene& scene) {
  const auto out = attend(scene);
  const double unit = std::ldexp(1.0, scene.type == DataType::kFloat32   ? -24
                                      : scene.type == DataType::kFloat16 ? -11
                                                                         : -8);
  for (size_t i = 0; i < scene.sources.size(); ++i) {
    const auto given = decode(bytes_of_source(scene, out, i), scene.type);
    const auto qkv = scene.numbers(i, 3);
    const int32_t length = scene.sources[i].second;
    for (int32_t token = 0; token < length; ++token) {
      for (int32_t element = 0; element < scene.hidden(); ++element) {
        const ExactElement wanted = exact(scene, qkv, length, token, element);
        const double found = given[size(token * scene.hidden() + element)];
        const double allowed =
            unit * std::fabs(wanted.value) + (unit + 2e-5) * wanted.magnitude + std::ldexp(1.0, -25);
        ASSERT_LE(std::fabs(found - wanted.value), allowed)
            << "source " << i << " of " << length << ", token " << token << ", element " << element << ": "
            << found << " for " << wanted.value;
      }
    }
  }
}

class EncoderAttentionTest : public CudaTest {};

TEST_F(EncoderAttentionTest, IsWhatItSays) {
  for (const DataType type : kTypes) {
    for (const bool causal : {false, true}) {
      for (const int32_t head_size : {8, 20, 32, 33, 64, 80, 128, 256}) {
        SCOPED_TRACE(head_size);
        PackedScene scene;
        scene.type = type;
        scene.causal = causal;
        scene.shape = {head_size % 3 + 1, head_size, 1.0F / std::sqrt(static_cast<float>(head_size))};
        scene.gap = 2;
        scene.sources = {{1, 17}, {2, 1}, {3, 0}, {4, 65}, {5, 64}, {6, 15}};
        expect_exact(scene);
      }
    }
  }
}

TEST_F(EncoderAttentionTest, LongSources) {
  PackedScene scene;
  scene.shape = {8, 64, 0.125F};
  scene.sources = {{1, 256}, {2, 130}, {3, 16}, {4, 63}};
  expect_exact(scene);
}

TEST_F(EncoderAttentionTest, LargeScores) {
  PackedScene scene;
  scene.type = DataType::kFloat32;
  scene.scale_of_values = 30.0F;
  scene.sources = {{1, 40}, {2, 7}};
  expect_exact(scene);
}

TEST_F(EncoderAttentionTest, BitsDependOnTheSourceAlone) {
  for (const DataType type : kTypes) {
    for (const bool causal : {false, true}) {
      PackedScene alone;
      alone.type = type;
      alone.causal = causal;
      alone.sources = {{7, 70}};
      const auto wanted = bytes_of_source(alone, attend(alone), 0);
      PackedScene among = alone;
      among.gap = 3;
      among.longest = 300;
      among.sources = {{1, 5}, {2, 129}, {3, 0}, {7, 70}, {4, 33}};
      const auto out = attend(among);
      EXPECT_EQ(bytes_of_source(among, out, 3), wanted);
    }
  }
}

TEST_F(EncoderAttentionTest, RowsOfNoSourceAreLeftAlone) {
  PackedScene scene;
  scene.gap = 4;
  scene.longest = 100;
  scene.sources = {{1, 18}, {2, 0}, {3, 66}};
  const auto out = attend(scene);
  const size_t row = size(scene.hidden()) * size_of(scene.type);
  std::vector<bool> used(size(scene.tokens()), false);
  for (size_t i = 0; i < scene.sources.size(); ++i) {
    std::fill_n(used.begin() + scene.start(i), scene.sources[i].second, true);
  }
  for (size_t token = 0; token < used.size(); ++token) {
    const auto first = out.begin() + static_cast<std::ptrdiff_t>(token * row);
    const bool untouched = std::all_of(first, first + static_cast<std::ptrdiff_t>(row),
                                       [](std::byte b) { return b == std::byte{0xFF}; });
    EXPECT_EQ(untouched, !used[token]) << token;
  }
}

TEST_F(EncoderAttentionTest, HeadsAreSplit) {
  for (const DataType type : kTypes) {
    for (const int32_t head_size : {8, 33, 64, 100}) {
      PackedScene scene;
      scene.type = type;
      scene.shape = {3, head_size, 1.0F};
      scene.gap = 1;
      scene.sources = {{1, 9}, {2, 0}, {3, 20}, {4, 1}};
      const Places places(scene);
      const int32_t source = 24;
      const DeviceArray<std::byte> rows(encode(scene.rows(2), type));
      const size_t count = scene.sources.size() * size(source) * size(scene.hidden());
      DeviceArray<std::byte> keys(count * size_of(type));
      DeviceArray<std::byte> values(count * size_of(type));
      cuda::split_heads(places.packed(), scene.shape, source, rows.data(), keys.data(), values.data(), type,
                        nullptr);
      std::vector<float> wanted[2] = {std::vector<float>(count, kNan), std::vector<float>(count, kNan)};
      for (size_t i = 0; i < scene.sources.size(); ++i) {
        const auto own = scene.numbers(i, 2);
        for (size_t at = 0; at < own.size(); ++at) {
          const auto element = static_cast<int32_t>(at % size(2 * scene.hidden()));
          const auto position = static_cast<int32_t>(at / size(2 * scene.hidden()));
          const int32_t within = element % scene.hidden();
          const size_t head = i * size(scene.shape.heads) + size(within / head_size);
          wanted[element / scene.hidden()][(head * size(source) + size(position)) * size(head_size) +
                                           size(within % head_size)] = own[at];
        }
      }
      const DeviceArray<std::byte>* const given[2] = {&keys, &values};
      for (int part = 0; part < 2; ++part) {
        const auto found = decode(given[part]->values(), type);
        for (size_t at = 0; at < count; ++at) {
          if (std::isnan(wanted[part][at])) {
            ASSERT_TRUE(std::isnan(found[at])) << at;
          } else {
            ASSERT_EQ(found[at], wanted[part][at]) << at;
          }
        }
      }
    }
  }
}

TEST(EncoderAttentionUsageTest, RefusesWhatItCannotDo) {
  const cuda::PackedSources sources = {1, 9, nullptr, nullptr};
  void* const tensor = nullptr;
  EXPECT_THROW(
      cuda::encoder_attention(sources, {1, 257, 1.0F}, false, tensor, tensor, DataType::kFloat32, nullptr),
      UsageError);
  EXPECT_THROW(
      cuda::encoder_attention(sources, {1, 64, 1.0F}, false, tensor, tensor, DataType::kInt32, nullptr),
      UsageError);
  EXPECT_THROW(
      cuda::split_heads(sources, {1, 64, 1.0F}, 8, tensor, tensor, tensor, DataType::kFloat32, nullptr),
      UsageError);
}

}  // namespace
}  // namespace nmt_trt
