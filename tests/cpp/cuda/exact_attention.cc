#include "cuda/exact_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda/gpu.h"

namespace nmt_trt::testing {

namespace {

/// [positions], adding up to 1, of the head whose first element is `begin`.
std::vector<double> head_weights(const cuda::HeadShape& shape, size_t begin, const std::vector<float>& query,
                                 const Vectors& keys, size_t positions) {
  std::vector<double> weights;
  double largest = -std::numeric_limits<double>::infinity();
  for (size_t position = 0; position < positions; ++position) {
    double score = 0;
    for (size_t i = begin; i < begin + static_cast<size_t>(shape.head_size); ++i) {
      score += static_cast<double>(query[i]) * keys[position][i];
    }
    weights.push_back(score * shape.scale);
    largest = std::max(largest, weights.back());
  }
  double sum = 0;
  for (double& weight : weights) {
    weight = std::exp(weight - largest);
    sum += weight;
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

}  // namespace

std::vector<ExactElement> exact_attention(const cuda::HeadShape& shape, const std::vector<float>& query,
                                          const Vectors& keys, const Vectors& values, size_t positions) {
  const auto head_size = static_cast<size_t>(shape.head_size);
  std::vector<ExactElement> out(query.size());
  for (size_t begin = 0; begin < query.size(); begin += head_size) {
    const std::vector<double> weights = head_weights(shape, begin, query, keys, positions);
    for (size_t position = 0; position < positions; ++position) {
      for (size_t i = begin; i < begin + head_size; ++i) {
        const double part = weights[position] * values[position][i];
        out[i].value += part;
        out[i].magnitude += std::fabs(part);
      }
    }
  }
  return out;
}

std::vector<double> exact_weights(const cuda::HeadShape& shape, const std::vector<float>& query,
                                  const Vectors& keys, size_t positions) {
  std::vector<double> mean(positions);
  for (int32_t head = 0; head < shape.heads; ++head) {
    const auto begin = static_cast<size_t>(head * shape.head_size);
    const std::vector<double> weights = head_weights(shape, begin, query, keys, positions);
    for (size_t position = 0; position < positions; ++position) {
      mean[position] += weights[position] / shape.heads;
    }
  }
  return mean;
}

double unit_roundoff(DataType type) {
  if (type == DataType::kFloat16) return std::ldexp(1.0, -11);
  if (type == DataType::kBFloat16) return std::ldexp(1.0, -8);
  return std::ldexp(1.0, -24);
}

uint64_t hash_of(std::initializer_list<int32_t> parts, uint64_t hash) {
  for (const int32_t part : parts) {
    hash = (hash ^ static_cast<uint64_t>(part)) + 0x9E3779B97F4A7C15U;
    hash = (hash ^ (hash >> 30U)) * 0xBF58476D1CE4E5B9U;
    hash = (hash ^ (hash >> 27U)) * 0x94D049BB133111EBU;
    hash ^= hash >> 31U;
  }
  return hash;
}

std::vector<float> hashed_numbers(std::initializer_list<int32_t> name, size_t count, DataType type) {
  std::vector<float> numbers(count);
  const uint64_t hash = hash_of(name);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t bits = hash_of({static_cast<int32_t>(i)}, hash) >> 40U;
    numbers[i] = rounded(static_cast<float>(bits) * 0x1p-22F - 2.0F, type);
  }
  return numbers;
}

}  // namespace nmt_trt::testing
