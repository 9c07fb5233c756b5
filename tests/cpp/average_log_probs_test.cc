#include "core/average_log_probs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace nmt_trt {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
using Rows = std::vector<float>;

std::vector<Rows> random_logits(size_t models, size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<Rows> logits(models, Rows(count));
  for (size_t model = 0; model < models; ++model) {
    for (float& logit : logits[model]) logit = normal(random) * (1.0F + 7.0F * static_cast<float>(model));
  }
  return logits;
}

Rows average(const std::vector<Rows>& logits, size_t rows) {
  std::vector<const float*> pointers;
  for (const Rows& of_model : logits) pointers.push_back(of_model.data());
  Rows result(logits.front().size(), 1.0F);
  average_log_probs(pointers, rows, result.size() / rows, result.data());
  return result;
}

// The definition, in double precision.
std::vector<double> naive(const std::vector<Rows>& logits, size_t rows) {
  const size_t vocabulary = logits.front().size() / rows;
  std::vector<double> mean(logits.front().size());
  for (const Rows& of_model : logits) {
    for (size_t row = 0; row < rows; ++row) {
      const float* x = &of_model[row * vocabulary];
      const double largest = *std::max_element(x, x + vocabulary);
      double sum = 0;
      for (size_t i = 0; i < vocabulary; ++i) sum += std::exp(static_cast<double>(x[i]) - largest);
      for (size_t i = 0; i < vocabulary; ++i) {
        mean[row * vocabulary + i] +=
            std::exp(static_cast<double>(x[i]) - largest) / sum / static_cast<double>(logits.size());
      }
    }
  }
  for (double& value : mean) value = std::log(value);
  return mean;
}

TEST(AverageLogProbs, IsTheLogarithmOfTheMean) {
  for (const size_t vocabulary : {1U, 5U, 127U, 128U, 129U, 1000U}) {
    for (const size_t models : {1U, 2U, 3U, 8U}) {
      const auto logits = random_logits(models, 3 * vocabulary, static_cast<uint32_t>(vocabulary));
      const Rows found = average(logits, 3);
      const auto exact = naive(logits, 3);
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_NEAR(found[i], exact[i], 2e-6 + 2e-6 * std::abs(exact[i])) << vocabulary << ", " << models;
      }
    }
  }
}

TEST(AverageLogProbs, NoTokenIsTooUnlikely) {
  const Rows far = {0.0F, -500.0F, -1000.0F};
  const Rows found = average({far, far}, 1);
  EXPECT_EQ(found[1], -500.0F);
  EXPECT_EQ(found[2], -1000.0F);
}

TEST(AverageLogProbs, WhatNoModelAllowsIsImpossible) {
  const Rows found = average({{0.0F, -kInfinity, 1.0F}, {3.0F, -kInfinity, -kInfinity}}, 1);
  EXPECT_EQ(found[1], -kInfinity);
  EXPECT_TRUE(std::isfinite(found[2]));
}

TEST(AverageLogProbs, ARowDependsOnItselfAlone) {
  auto logits = random_logits(2, 3 * 200, 5);
  const Rows before = average(logits, 3);
  logits[1][200] = std::numeric_limits<float>::quiet_NaN();
  logits[0][400] = 9.0F;
  const Rows after = average(logits, 3);
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 200, after.begin()));
  EXPECT_TRUE(std::all_of(after.begin() + 200, after.begin() + 400, [](float x) { return std::isnan(x); }));
  EXPECT_TRUE(std::none_of(after.begin() + 400, after.end(), [](float x) { return std::isnan(x); }));
}

TEST(AverageLogProbs, LogitsThatGiveNoDistributionMakeNan) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    for (const size_t place : {0U, 130U, 199U}) {
      auto logits = random_logits(3, 200, 6);
      logits[2][place] = bad;
      EXPECT_TRUE(std::isnan(average(logits, 1)[77]));
    }
  }
  EXPECT_TRUE(std::isnan(average({{1.0F, 2.0F}, {-kInfinity, -kInfinity}}, 1)[0]));
}

}  // namespace
}  // namespace nmt_trt
