#include "core/vector_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace nmt_trt {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_blocks(size_t blocks, float scale, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> x(blocks * kBlock);
  for (float& value : x) value = normal(random);
  return x;
}

TEST(BlockMaxima, AreThoseOfEachBlock) {
  const auto x = random_blocks(9, 5.0F, 1);
  std::vector<float> maxima(9);
  block_maxima(x.data(), 9, maxima.data());
  for (size_t b = 0; b < 9; ++b) {
    const auto begin = x.begin() + static_cast<std::ptrdiff_t>(b * kBlock);
    EXPECT_EQ(maxima[b], *std::max_element(begin, begin + kBlock));
  }
}

TEST(BlockMaxima, FindsTheLargestAnywhereInABlock) {
  for (size_t place = 0; place < kBlock; ++place) {
    std::vector<float> x(kBlock, -kInfinity);
    x[place] = -7.5F;
    float maximum = 0;
    block_maxima(x.data(), 1, &maximum);
    EXPECT_EQ(maximum, -7.5F) << "at " << place;
  }
}

TEST(ExpShifted, IsTheExponential) {
  auto x = random_blocks(5, 6.0F, 2);
  x[17] = -kInfinity;
  const float largest = *std::max_element(x.begin(), x.end());
  std::vector<float> y(x.size());
  exp_shifted(x.data(), 5, largest, y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(std::max(static_cast<double>(x[i] - largest), -87.0));
    EXPECT_NEAR(y[i], exact, 1e-7 * exact);
  }
}

TEST(BlockMaxima, IgnoresNan) {
  std::vector<float> x(kBlock, std::numeric_limits<float>::quiet_NaN());
  x[77] = 2.0F;
  float maximum = 0;
  block_maxima(x.data(), 1, &maximum);
  EXPECT_EQ(maximum, 2.0F);
}

// Largest relative error of exp(y) for y from `low` to 0, each in a block that holds nothing else of weight.
double worst_error(float low) {
  double worst = 0;
  std::vector<float> x(kBlock, -kInfinity);
  for (int i = 0; i <= 1000000; ++i) {
    const float y = low * static_cast<float>(i) / 1e6F;
    x[static_cast<size_t>(i) % kBlock] = y;
    const double exact = std::exp(static_cast<double>(y));
    worst = std::max(worst, std::abs(sum_exp(x.data(), 1, 0.0F) - exact) / exact);
    x[static_cast<size_t>(i) % kBlock] = -kInfinity;
  }
  return worst;
}

TEST(SumExp, EachTermIsWithin1e7) { EXPECT_LT(worst_error(-60.0F), 1e-7); }

TEST(SumExp, TermsBelowMinus87CountAsNothingMuch) {
  const std::vector<float> x(kBlock, -1000.0F);
  EXPECT_LT(sum_exp(x.data(), 1, 0.0F), 3e-36);
}

TEST(SumExp, AddsManyTermsWithoutLoss) {
  const auto x = random_blocks(250, 3.0F, 2);
  const float largest = *std::max_element(x.begin(), x.end());
  double exact = 0;
  for (const float value : x) exact += std::exp(static_cast<double>(value) - static_cast<double>(largest));
  EXPECT_NEAR(sum_exp(x.data(), 250, largest) / exact, 1.0, 1e-7);
}

TEST(SumExp, MinusInfinityCountsForNothing) {
  std::vector<float> x(kBlock, -kInfinity);
  x[5] = 100.0F;
  EXPECT_EQ(sum_exp(x.data(), 1, 100.0F), 1.0);
}

TEST(SumExp, NanAnywhereGivesNan) {
  for (size_t place = 0; place < kBlock; ++place) {
    std::vector<float> x(kBlock, 0.0F);
    x[place] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(sum_exp(x.data(), 1, 0.0F))) << "at " << place;
  }
}

TEST(SumExp, InfiniteShiftGivesNan) {
  std::vector<float> x(kBlock, 0.0F);
  x[3] = kInfinity;
  EXPECT_TRUE(std::isnan(sum_exp(x.data(), 1, kInfinity)));
  const std::vector<float> nothing(kBlock, -kInfinity);
  EXPECT_TRUE(std::isnan(sum_exp(nothing.data(), 1, -kInfinity)));
}

// The value is that of every build: 16, 32 and 64 byte vectors, GCC and Clang, x86-64 and aarch64.
TEST(SumExp, GivesTheSameBitsOnEveryCpu) {
  std::vector<float> x(40 * kBlock);
  uint32_t state = 1;
  for (float& value : x) {
    state = state * 1664525U + 1013904223U;
    value = -static_cast<float>(state >> 8U) * (60.0F / 16777216.0F);
  }
  EXPECT_EQ(sum_exp(x.data(), 40, 0.0F), 0x1.932008b872fb3p+6);
}

TEST(SumExp, DoesNotDependOnAlignment) {
  const auto x = random_blocks(3, 2.0F, 3);
  const double aligned = sum_exp(x.data(), 3, 9.0F);
  for (size_t offset = 1; offset < 16; ++offset) {
    std::vector<float> moved(offset + x.size());
    std::copy(x.begin(), x.end(), moved.begin() + static_cast<std::ptrdiff_t>(offset));
    EXPECT_EQ(sum_exp(moved.data() + offset, 3, 9.0F), aligned);
  }
}

// The values are those of every build, as above.
TEST(LogMeanExp, GivesTheSameBitsOnEveryCpu) {
  std::vector<float> x(2 * kBlock);
  uint32_t state = 1;
  for (float& value : x) {
    state = state * 1664525U + 1013904223U;
    value = -static_cast<float>(state >> 8U) * (20.0F / 16777216.0F);
  }
  const NormalisedLogits rows[] = {{x.data(), 0.0F, 0.5F}, {x.data() + kBlock, 0.25F, 0.125F}};
  std::vector<float> y(kBlock);
  log_mean_exp(rows, 2, 1, y.data());
  uint32_t hash = 0;
  for (const float value : y) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    hash = hash * 31U + bits;
  }
  EXPECT_EQ(hash, 3439695471U);
}

}  // namespace
}  // namespace nmt_trt
