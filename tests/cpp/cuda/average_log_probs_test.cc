#include "cuda/average_log_probs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/errors.h"
#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"

namespace nmt_trt {
namespace {

using namespace testing;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int32_t kBeamSize = 3;
constexpr int32_t kSentences = 4;
constexpr int32_t kBeams = kSentences * kBeamSize;
using Rows = std::vector<float>;

size_t size(int64_t count) { return static_cast<size_t>(count); }

/// What one model says of every hypothesis, as `type` holds it.
struct Said {
  DataType type;
  Rows logits;  // [R * K, V]

  Rows rounded_logits() const {
    Rows all = logits;
    for (float& logit : all) logit = rounded(logit, type);
    return all;
  }
};

/// The kernels by themselves; every row of every sentence counts unless ends() says otherwise.
class Kernel {
 public:
  explicit Kernel(int32_t vocab_size)
      : options_(search_options(PolicyKind::kGnmt, kBeamSize, vocab_size, {9, 9, 9, 9}, 0.0F)),
        gpu_(options_, kSentences, 9),
        stage_(options_, {0, 1, 2, 3}, 9 * kBeamSize) {
    gpu_.start(stage_);
    NMT_TRT_CUDA(cudaDeviceSynchronize());
    gpu_.set_steps(1);
    end({});
  }

  void end(const std::vector<size_t>& beams) {
    std::vector<uint8_t> ended(size(kBeams), 0);
    for (const size_t beam : beams) ended[beam] = 1;
    gpu_.set_ended(ended);
  }

  // NaN where nothing was written.
  Rows run(const std::vector<Said>& said) {
    std::vector<DeviceArray<std::byte>> device;
    std::vector<cuda::ModelLogits> models;
    for (const Said& one : said) {
      device.emplace_back(encode(one.logits, one.type));
      models.push_back({device.back().data(), one.type});
    }
    const auto count = static_cast<int32_t>(models.size());
    DeviceArray<std::byte> scratch(cuda::average_log_probs_scratch_bytes(kBeams, count, options_.vocab_size));
    DeviceArray<float> average(said.front().logits.size());
    cuda::average_log_probs(gpu_.state(), stage_.inputs, models, scratch.data(), average.data(), nullptr);
    NMT_TRT_CUDA(cudaDeviceSynchronize());
    return average.values();
  }

 private:
  SearchOptions options_;
  GpuSearch gpu_;
  GpuStage stage_;
};

Rows draw(Random& random, int32_t vocab_size, float scale) {
  Rows logits(size(kBeams) * size(vocab_size));
  for (float& logit : logits) logit = scale * random.bell();
  return logits;
}

// The definition, in double precision; one row of each model.
std::vector<double> naive(const std::vector<Rows>& logits, size_t row, size_t vocab_size) {
  std::vector<double> mean(vocab_size);
  for (const Rows& of_model : logits) {
    const float* x = &of_model[row * vocab_size];
    const double largest = *std::max_element(x, x + vocab_size);
    double sum = 0;
    for (size_t i = 0; i < vocab_size; ++i) sum += std::exp(static_cast<double>(x[i]) - largest);
    for (size_t i = 0; i < vocab_size; ++i) {
      mean[i] += std::exp(static_cast<double>(x[i]) - largest) / sum / static_cast<double>(logits.size());
    }
  }
  for (double& value : mean) value = std::log(value);
  return mean;
}

class AverageLogProbsKernel : public CudaTest {};

TEST_F(AverageLogProbsKernel, IsTheLogarithmOfTheMean) {
  constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16};
  Random random(1);
  for (const int32_t vocab_size : {6, 1000, 1024, 4097, 32000, 200001}) {
    for (const size_t models : {1U, 2U, 3U, 16U}) {
      if (vocab_size > 32000 && models > 2) continue;
      SCOPED_TRACE(std::to_string(vocab_size) + " tokens, " + std::to_string(models) + " models");
      std::vector<Said> said;
      std::vector<Rows> exact;
      for (size_t i = 0; i < models; ++i) {
        said.push_back({kTypes[i % 3], draw(random, vocab_size, 0.5F + 3.0F * random.unit())});
        exact.push_back(said.back().rounded_logits());
      }
      const Rows found = Kernel(vocab_size).run(said);
      double worst = 0;
      for (size_t row = 0; row < size(kBeams); ++row) {
        const auto wanted = naive(exact, row, size(vocab_size));
        for (size_t i = 0; i < wanted.size(); ++i) {
          const double off = std::abs(found[row * wanted.size() + i] - wanted[i]);
          worst = std::max(worst, std::isnan(off) ? 1.0 : off / (1.0 + std::abs(wanted[i])));
        }
      }
      EXPECT_LT(worst, 2e-6);
    }
  }
}

TEST_F(AverageLogProbsKernel, EqualModelsGiveTheSameBitsHoweverManyThereAre) {
  Random random(2);
  const Said said = {DataType::kFloat32, draw(random, 5000, 4.0F)};
  const Rows alone = Kernel(5000).run({said});
  for (const size_t models : {2U, 3U, 7U}) {
    EXPECT_EQ(bits_of(Kernel(5000).run(std::vector<Said>(models, said))), bits_of(alone));
  }
}

TEST_F(AverageLogProbsKernel, NoTokenIsTooUnlikelyAndSomeAreImpossible) {
  Said near = {DataType::kFloat32, Rows(size(kBeams) * 40, 0.0F)};
  Said far = near;
  near.logits[5] = far.logits[5] = -kInfinity;
  near.logits[6] = far.logits[6] = -500.0F;
  near.logits[7] = -kInfinity;
  const Rows found = Kernel(40).run({near, far});
  EXPECT_EQ(found[5], -kInfinity);
  EXPECT_NEAR(found[6], -500.0F - std::log(37.5F), 1e-3F);
  EXPECT_NEAR(found[7], -std::log(2 * 38.0F), 1e-5F);
}

TEST_F(AverageLogProbsKernel, LogitsThatGiveNoDistributionMakeTheirRowNan) {
  Random random(3);
  for (const size_t model : {0U, 1U}) {
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      std::vector<Said> said(2, {DataType::kFloat16, draw(random, 3000, 2.0F)});
      const Rows good = Kernel(3000).run(said);
      auto* row = &said[model].logits[7 * 3000];
      if (bad == -kInfinity) {
        std::fill_n(row, 3000, bad);
      } else {
        row[2900] = bad;
      }
      const Rows found = Kernel(3000).run(said);
      for (size_t i = 0; i < found.size(); ++i) {
        if (i / 3000 == 7) {
          ASSERT_TRUE(std::isnan(found[i]));
        } else {
          ASSERT_EQ(found[i], good[i]);
        }
      }
    }
  }
}

TEST_F(AverageLogProbsKernel, RowsThatNobodyLooksAtAreLeftAlone) {
  Random random(4);
  const Said said = {DataType::kFloat32, draw(random, 2000, 2.0F)};
  Kernel kernel(2000);
  const Rows all = kernel.run({said, said});
  kernel.end({1, 6});
  const Rows found = kernel.run({said, said});
  for (size_t row = 0; row < size(kBeams); ++row) {
    const float value = found[row * 2000 + 77];
    const bool ended = row == 1 || row == 6;
    EXPECT_TRUE(ended ? std::isnan(value) : value == all[row * 2000 + 77]) << row;
  }
}

TEST_F(AverageLogProbsKernel, RefusesLogitsThatAreNotFloating) {
  Said said = {DataType::kFloat32, Rows(size(kBeams) * 40, 0.0F)};
  said.type = DataType::kInt32;
  EXPECT_THROW(Kernel(40).run({said}), UsageError);
}

}  // namespace
}  // namespace nmt_trt
