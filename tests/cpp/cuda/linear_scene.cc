#include "cuda/linear_scene.h"

#include <cmath>
#include <random>

namespace nmt_trt::testing {
namespace {

std::vector<float> random_numbers(std::mt19937& random, size_t count, float spread, float middle) {
  std::normal_distribution<float> distribution(middle, spread);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = distribution(random);
  return numbers;
}

void round_all(std::vector<float>& numbers, DataType type) {
  for (float& number : numbers) number = rounded(number, type);
}

size_t product(int32_t a, int32_t b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

}  // namespace

LinearScene::LinearScene(DataType type, int32_t inputs, int32_t outputs, int32_t rows, uint32_t seed)
    : type(type), inputs(inputs), outputs(outputs), rows(rows) {
  std::mt19937 random(seed);
  const auto width = static_cast<size_t>(inputs);
  weight =
      random_numbers(random, product(outputs, inputs), 1.0F / std::sqrt(static_cast<float>(inputs)), 0.0F);
  bias = random_numbers(random, static_cast<size_t>(outputs), 0.5F, 0.0F);
  gain = random_numbers(random, width, 0.3F, 1.0F);
  shift = random_numbers(random, width, 0.3F, 0.0F);
  // A mean that is large beside the variance is what careless formulas fail at.
  stream = random_numbers(random, product(rows, inputs), 2.0F, 30.0F);
  x = random_numbers(random, product(rows, inputs), 1.0F, 0.0F);
  round_all(weight, type);
  round_all(x, type);
}

std::vector<double> LinearScene::normalized() const {
  std::vector<double> result(stream.size());
  const auto width = static_cast<size_t>(inputs);
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    const float* from = &stream[row * width];
    double mean = 0.0;
    for (size_t i = 0; i < width; ++i) mean += from[i];
    mean /= static_cast<double>(width);
    double variance = 0.0;
    for (size_t i = 0; i < width; ++i) variance += (from[i] - mean) * (from[i] - mean);
    variance /= static_cast<double>(width);
    for (size_t i = 0; i < width; ++i) {
      result[row * width + i] = gain[i] * (from[i] - mean) / std::sqrt(variance + kEpsilon) + shift[i];
    }
  }
  return result;
}

std::vector<double> LinearScene::through(const std::vector<double>& given, double factor) const {
  std::vector<double> result;
  const auto width = static_cast<size_t>(inputs);
  std::vector<double> row(width);
  for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
    for (size_t i = 0; i < width; ++i) {
      row[i] = rounded(static_cast<float>(given[r * width + i] * factor), type);
    }
    for (size_t o = 0; o < static_cast<size_t>(outputs); ++o) {
      double sum = bias[o];
      for (size_t i = 0; i < width; ++i) sum += row[i] * weight[o * width + i];
      result.push_back(sum);
    }
  }
  return result;
}

LinearStage::LinearStage(const LinearScene& scene)
    : scene(scene),
      weight(encode(scene.weight, scene.type)),
      x(encode(scene.x, scene.type)),
      bias(scene.bias),
      gain(scene.gain),
      shift(scene.shift),
      stream(scene.stream) {}

cuda::Linear LinearStage::linear() const { return {weight.data(), bias.data(), scene.inputs, scene.outputs}; }

cuda::Normalized LinearStage::normalized(bool norm, float* kept, float factor) const {
  const cuda::Norm none = {nullptr, nullptr, LinearScene::kEpsilon};
  const cuda::Norm own = {gain.data(), shift.data(), LinearScene::kEpsilon};
  return {stream.data(), norm ? own : none, kept, factor};
}

double relative_error(const std::vector<float>& given, const std::vector<double>& expected) {
  double difference = 0.0;
  double size = 0.0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += (given[i] - expected[i]) * (given[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace nmt_trt::testing
