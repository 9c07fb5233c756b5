#include "cuda/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "core/errors.h"
#include "cuda/linear_scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

constexpr size_t kSpare = 64;  // elements behind a result that must stay as they are
constexpr cuda::Activated kAsItIs = {cuda::Activation::kNone, 1.0F, 1.0F};

// Of a result in the type, and of one in float32 whose inputs were rounded to it: a rounding may go the other
// way.
double tolerance(DataType type) { return type == DataType::kFloat16 ? 4e-4 : 3e-3; }
constexpr double kExact = 1e-5;

template <typename T>
std::vector<T> take_result(const DeviceArray<T>& result, size_t count) {
  NMT_TRT_CUDA(cudaDeviceSynchronize());
  std::vector<T> values = result.values();
  const std::vector<T> spare(values.begin() + static_cast<std::ptrdiff_t>(count), values.end());
  const std::vector<std::byte> untouched(spare.size() * sizeof(T), std::byte{0xFF});
  EXPECT_EQ(std::memcmp(spare.data(), untouched.data(), untouched.size()), 0) << "wrote behind the result";
  values.resize(count);
  return values;
}

std::vector<float> run_normalized(const LinearStage& stage, const cuda::Normalized& input,
                                  const cuda::Activated& activated) {
  const LinearScene& scene = stage.scene;
  const size_t count = static_cast<size_t>(scene.rows) * static_cast<size_t>(scene.outputs);
  const DeviceArray<std::byte> out((count + kSpare) * size_of(scene.type));
  const DeviceArray<std::byte> scratch(scene.x.size() * size_of(scene.type));
  cuda::normalized_linear(input, stage.linear(), activated, scratch.data(), out.data(), scene.rows,
                          scene.type, nullptr);
  return decode(take_result(out, count * size_of(scene.type)), scene.type);
}

std::vector<float> run_logits(const LinearStage& stage, const cuda::Normalized& input, float factor) {
  const LinearScene& scene = stage.scene;
  const size_t count = static_cast<size_t>(scene.rows) * static_cast<size_t>(scene.outputs);
  const DeviceArray<float> logits(count + kSpare);
  const DeviceArray<std::byte> scratch(scene.x.size() * size_of(scene.type));
  cuda::project_logits(input, stage.linear(), factor, scratch.data(), logits.data(), scene.rows, scene.type,
                       nullptr);
  return take_result(logits, count);
}

std::vector<float> run_residual(const LinearStage& stage, float factor, const std::vector<float>& residual) {
  const LinearScene& scene = stage.scene;
  const DeviceArray<float> from(residual);
  const DeviceArray<float> out(residual.size() + kSpare);
  cuda::residual_linear(stage.x.data(), stage.linear(), factor, from.data(), out.data(), scene.rows,
                        scene.type, nullptr);
  return take_result(out, residual.size());
}

std::vector<float> some_residual(const LinearScene& scene) {
  std::vector<float> residual(static_cast<size_t>(scene.rows) * static_cast<size_t>(scene.outputs));
  for (size_t i = 0; i < residual.size(); ++i) residual[i] = std::sin(static_cast<float>(i));
  return residual;
}

std::vector<double> widened(const std::vector<float>& numbers) { return {numbers.begin(), numbers.end()}; }

double activated(double value, cuda::Activation activation) {
  switch (activation) {
    case cuda::Activation::kRelu:
      return std::max(value, 0.0);
    case cuda::Activation::kGelu:
      return 0.5 * value * (1.0 + std::erf(value / std::sqrt(2.0)));
    case cuda::Activation::kSwish:
      return value / (1.0 + std::exp(-value));
    case cuda::Activation::kNone:
      break;
  }
  return value;
}

using Shape = std::tuple<DataType, int32_t, int32_t, int32_t>;  // type, inputs, outputs, rows

class LinearTest : public CudaTest, public ::testing::WithParamInterface<Shape> {
 protected:
  static LinearScene scene() {
    const auto [type, inputs, outputs, rows] = GetParam();
    return {type, inputs, outputs, rows, 7};
  }
};

TEST_P(LinearTest, OfNormalizedRows) {
  const LinearScene scene = this->scene();
  if (scene.inputs > cuda::kMaxNormalized) return;
  const LinearStage stage(scene);
  const std::vector<double> rows = scene.normalized();
  const DeviceArray<float> kept(scene.stream.size() + kSpare);
  const auto given = run_normalized(stage, stage.normalized(true, kept.data(), 1.0F), kAsItIs);
  EXPECT_LT(relative_error(given, scene.through(rows, 1.0)), tolerance(scene.type));
  EXPECT_LT(relative_error(take_result(kept, scene.stream.size()), rows), 1e-5);
}

TEST_P(LinearTest, OfRowsAsTheyAre) {
  const LinearScene scene = this->scene();
  if (scene.inputs > cuda::kMaxNormalized) return;
  const LinearStage stage(scene);
  const auto given = run_normalized(stage, stage.normalized(false, nullptr, 0.25F), kAsItIs);
  EXPECT_LT(relative_error(given, scene.through(widened(scene.stream), 0.25)), tolerance(scene.type));
}

TEST_P(LinearTest, AddedToAResidual) {
  const LinearScene scene = this->scene();
  const LinearStage stage(scene);
  const std::vector<float> residual = some_residual(scene);
  std::vector<double> expected = scene.through(widened(scene.x), 1.0);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = residual[i] + 4.0 * expected[i];
  EXPECT_LT(relative_error(run_residual(stage, 4.0F, residual), expected), kExact);
}

TEST_P(LinearTest, ToLogits) {
  const LinearScene scene = this->scene();
  if (scene.inputs > cuda::kMaxNormalized) return;
  const LinearStage stage(scene);
  std::vector<double> expected = scene.through(scene.normalized(), 0.5);
  for (double& logit : expected) logit *= 2.0;
  EXPECT_LT(relative_error(run_logits(stage, stage.normalized(true, nullptr, 0.5F), 2.0F), expected),
            tolerance(scene.type));
}

std::string name_of_shape(const ::testing::TestParamInfo<Shape>& shape) {
  const auto [type, inputs, outputs, rows] = shape.param;
  return std::string(name_of(type)) + "_" + std::to_string(inputs) + "_to_" + std::to_string(outputs) +
         "_rows" + std::to_string(rows);
}

INSTANTIATE_TEST_SUITE_P(Rows, LinearTest,
                         ::testing::Combine(::testing::Values(DataType::kFloat16, DataType::kBFloat16),
                                            ::testing::Values(512), ::testing::Values(512, 2048),
                                            ::testing::Values(1, 4, 9, 32, 128, 520)),
                         name_of_shape);
INSTANTIATE_TEST_SUITE_P(Widths, LinearTest,
                         ::testing::Combine(::testing::Values(DataType::kFloat16),
                                            ::testing::Values(32, 96, 320, 768, 1024, 2048, 4096),
                                            ::testing::Values(32, 96, 320, 1024), ::testing::Values(5, 70)),
                         name_of_shape);

class LinearKindsTest : public CudaTest {};

TEST_F(LinearKindsTest, Activations) {
  const LinearScene scene(DataType::kFloat16, 64, 96, 11, 3);
  const LinearStage stage(scene);
  const std::vector<double> sums = scene.through(scene.normalized(), 1.0);
  for (const auto activation : {cuda::Activation::kRelu, cuda::Activation::kGelu, cuda::Activation::kSwish}) {
    std::vector<double> expected;
    for (const double sum : sums) expected.push_back(0.5 * activated(2.0 * sum, activation));
    const auto given = run_normalized(stage, stage.normalized(true, nullptr, 1.0F), {activation, 2.0F, 0.5F});
    EXPECT_LT(relative_error(given, expected), tolerance(scene.type)) << static_cast<int>(activation);
  }
}

TEST_F(LinearKindsTest, ResidualInPlace) {
  const LinearScene scene(DataType::kBFloat16, 256, 512, 40, 3);
  const LinearStage stage(scene);
  const std::vector<float> residual = some_residual(scene);
  const DeviceArray<float> both(residual);
  cuda::residual_linear(stage.x.data(), stage.linear(), 1.0F, both.data(), both.data(), scene.rows,
                        scene.type, nullptr);
  NMT_TRT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(bits_of(both.values()), bits_of(run_residual(stage, 1.0F, residual)));
}

TEST_F(LinearKindsTest, LogitsOfAnyVocabulary) {
  for (const int32_t outputs : {1, 15, 33, 8007}) {
    for (const int32_t rows : {3, 20, 100}) {
      const LinearScene scene(DataType::kFloat16, 512, outputs, rows, 5);
      const LinearStage stage(scene);
      const auto given = run_logits(stage, stage.normalized(true, nullptr, 1.0F), 1.0F);
      EXPECT_LT(relative_error(given, scene.through(scene.normalized(), 1.0)), tolerance(scene.type))
          << outputs << " tokens, " << rows << " rows";
    }
  }
}

// The rows of the first of two scenes of the same weights, among more rows.
LinearScene with_rows(const LinearScene& scene, int32_t rows) {
  LinearScene few = scene;
  few.rows = rows;
  few.stream.resize(static_cast<size_t>(rows) * static_cast<size_t>(scene.inputs));
  few.x.resize(few.stream.size());
  return few;
}

std::vector<uint32_t> first_bits(const std::vector<float>& values, size_t count) {
  std::vector<uint32_t> bits = bits_of(values);
  bits.resize(count);
  return bits;
}

TEST_F(LinearKindsTest, ARowHasTheSameBitsAtEveryNumberOfRows) {
  for (const int32_t inputs : {96, 320, 512, 864, 1024}) {
    const LinearScene most(DataType::kFloat16, inputs, 1536, 600, 9);
    const LinearStage all(most);
    const auto whole = run_normalized(all, all.normalized(true, nullptr, 1.0F), kAsItIs);
    const auto sums = run_residual(all, 1.0F, some_residual(most));
    const auto logits = run_logits(all, all.normalized(true, nullptr, 1.0F), 1.0F);
    for (const int32_t rows : {1, 2, 8, 9, 16, 33, 64, 128, 257, 520}) {
      const LinearScene scene = with_rows(most, rows);
      const LinearStage stage(scene);
      const auto count = static_cast<size_t>(rows) * static_cast<size_t>(scene.outputs);
      EXPECT_EQ(first_bits(whole, count),
                bits_of(run_normalized(stage, stage.normalized(true, nullptr, 1.0F), kAsItIs)))
          << inputs << " inputs, " << rows << " rows";
      EXPECT_EQ(first_bits(sums, count), bits_of(run_residual(stage, 1.0F, some_residual(scene))))
          << inputs << " inputs, " << rows << " rows";
      EXPECT_EQ(first_bits(logits, count),
                bits_of(run_logits(stage, stage.normalized(true, nullptr, 1.0F), 1.0F)))
          << inputs << " inputs, " << rows << " rows";
    }
  }
}

TEST_F(LinearKindsTest, EmbedsTokens) {
  const LinearScene scene(DataType::kBFloat16, 320, 32, 7, 11);  // x: the table; stream: the positions
  const LinearStage stage(scene);
  const std::vector<int32_t> tokens = {6, 0, 0, 3};
  const DeviceArray<int32_t> token(tokens);
  const DeviceArray<int32_t> position(std::vector<int32_t>{5});
  for (const bool norm : {false, true}) {
    LinearScene sums = with_rows(scene, 4);
    for (size_t row = 0; row < tokens.size(); ++row) {
      for (size_t i = 0; i < 320; ++i) {
        sums.stream[row * 320 + i] =
            3.0F * scene.x[static_cast<size_t>(tokens[row]) * 320 + i] + scene.stream[5 * 320 + i];
      }
    }
    const cuda::Embedding embedding = {stage.x.data(), stage.stream.data(), 3.0F,
                                       stage.normalized(norm, nullptr, 1.0F).norm, 320};
    const DeviceArray<float> out(sums.stream.size() + kSpare);
    cuda::embed_tokens(embedding, token.data(), position.data(), out.data(), 4, scene.type, nullptr);
    const std::vector<double> expected = norm ? sums.normalized() : widened(sums.stream);
    EXPECT_LT(relative_error(take_result(out, sums.stream.size()), expected), 1e-6);
  }
}

TEST_F(LinearKindsTest, NormalizesRows) {
  const LinearScene scene(DataType::kFloat16, 96, 32, 5, 13);
  const LinearStage stage(scene);
  const DeviceArray<float> both(scene.stream);
  cuda::normalize_rows(both.data(), stage.normalized(true, nullptr, 1.0F).norm, both.data(), 5, 96, nullptr);
  NMT_TRT_CUDA(cudaDeviceSynchronize());
  EXPECT_LT(relative_error(both.values(), scene.normalized()), 1e-6);
}

TEST(LinearUsageTest, RefusesWhatItCannotDo) {
  const auto run = [](int32_t inputs, int32_t outputs, DataType type) {
    cuda::normalized_linear({}, {nullptr, nullptr, inputs, outputs}, kAsItIs, nullptr, nullptr, 1, type,
                            nullptr);
  };
  EXPECT_THROW(run(64, 64, DataType::kFloat32), UsageError);
  EXPECT_THROW(run(48, 64, DataType::kFloat16), UsageError);
  EXPECT_THROW(run(64, 40, DataType::kFloat16), UsageError);
  EXPECT_THROW(run(0, 64, DataType::kFloat16), UsageError);
  EXPECT_THROW(run(cuda::kMaxNormalized + 32, 64, DataType::kFloat16), UsageError);
  EXPECT_THROW(cuda::residual_linear(nullptr, {nullptr, nullptr, 64, 64}, 1.0F, nullptr, nullptr, 1,
                                     DataType::kInt32, nullptr),
               UsageError);
  EXPECT_THROW(cuda::project_logits({}, {nullptr, nullptr, 40, 7}, 1.0F, nullptr, nullptr, 1,
                                    DataType::kFloat16, nullptr),
               UsageError);
}

TEST(LinearUsageTest, NothingIsLaunchedForNothing) {
  const cuda::Linear linear = {nullptr, nullptr, 64, 64};
  EXPECT_NO_THROW(
      cuda::normalized_linear({}, linear, kAsItIs, nullptr, nullptr, 0, DataType::kFloat16, nullptr));
  EXPECT_NO_THROW(
      cuda::residual_linear(nullptr, linear, 1.0F, nullptr, nullptr, 0, DataType::kFloat16, nullptr));
  EXPECT_NO_THROW(cuda::project_logits({}, linear, 1.0F, nullptr, nullptr, 0, DataType::kFloat16, nullptr));
}

}  // namespace
}  // namespace nmt_trt
