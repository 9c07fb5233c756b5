#include "core/top_log_probs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "core/policy.h"
#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"

namespace nmt_trt {
namespace {

using namespace testing;

size_t size(int64_t count) { return static_cast<size_t>(count); }

SearchOptions options_for(int32_t beam_size, int32_t vocab_size, PolicyKind policy, int32_t sentences) {
  SearchOptions options;
  options.policy = policy;
  options.beam_size = beam_size;
  options.vocab_size = vocab_size;
  options.eos = 0;
  options.pad = vocab_size / 2;
  options.bos = 0;
  options.max_lengths.assign(size(sentences), 9);
  return options;
}

/// The kernel by itself: every row of every sentence counts.
class Kernel {
 public:
  explicit Kernel(const SearchOptions& options)
      : options_(options), gpu_(options, sentences(), 9), stage_(options, rows(), 9 * options.beam_size) {
    gpu_.start(stage_);
    NMT_TRT_CUDA(cudaDeviceSynchronize());
    gpu_.set_steps(1);
    gpu_.set_ended(std::vector<uint8_t>(size(sentences()) * size(options.beam_size), 0));
  }

  // offset: bytes by which the logits are moved from an aligned address.
  std::vector<Candidate> run(const std::vector<float>& logits, DataType type, size_t offset) {
    const auto bytes = encode(logits, type);
    DeviceArray<std::byte> device(bytes.size() + offset);
    NMT_TRT_CUDA(cudaMemcpy(device.data() + offset, bytes.data(), bytes.size(), cudaMemcpyHostToDevice));
    cuda::top_log_probs(gpu_.state(), stage_.inputs, device.data() + offset, type, stage_.candidates.data(),
                        nullptr);
    NMT_TRT_CUDA(cudaDeviceSynchronize());
    return stage_.candidates.values();
  }

  bool met_bad_logits() const { return download(gpu_.state().bad_logits, 1)[0] != 0; }

 private:
  int32_t sentences() const { return static_cast<int32_t>(options_.max_lengths.size()); }
  std::vector<int32_t> rows() const {
    std::vector<int32_t> rows(options_.max_lengths.size());
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
  }

  SearchOptions options_;
  GpuSearch gpu_;
  GpuStage stage_;
};

void expect_like_cpu(const std::vector<float>& logits, const SearchOptions& options, DataType type,
                     size_t offset) {
  Kernel kernel(options);
  const auto given = kernel.run(logits, type, offset);
  ASSERT_FALSE(kernel.met_bad_logits());
  const auto policy = make_policy(options);
  const int32_t count = policy->candidates();
  TopLogProbs cpu(options.vocab_size, count, policy->excluded_token());
  std::vector<Candidate> expected(size(count));
  for (size_t row = 0; row * size(options.vocab_size) < logits.size(); ++row) {
    std::vector<float> seen(
        logits.begin() + static_cast<std::ptrdiff_t>(row * size(options.vocab_size)),
        logits.begin() + static_cast<std::ptrdiff_t>((row + 1) * size(options.vocab_size)));
    for (float& logit : seen) logit = rounded(logit, type);
    cpu(seen.data(), expected.data());
    for (size_t i = 0; i < expected.size(); ++i) {
      const Candidate& candidate = given[row * expected.size() + i];
      ASSERT_EQ(candidate.token, expected[i].token) << "row " << row << ", rank " << i;
      if (std::isinf(expected[i].log_prob)) {
        ASSERT_EQ(candidate.log_prob, expected[i].log_prob) << "row " << row << ", rank " << i;
      } else {
        ASSERT_NEAR(candidate.log_prob, expected[i].log_prob, 1e-6F * std::max(1.0F, -expected[i].log_prob))
            << "row " << row << ", rank " << i;
      }
    }
  }
}

class TopLogProbsOnDevice : public CudaTest {};

TEST_F(TopLogProbsOnDevice, AgreesWithTheCpu) {
  uint64_t seed = 0;
  for (const int32_t vocab_size :
       {2,    3,    7,    8,    9,    31,    32,    33,    255,    256,    1000,  1023,
        1024, 1025, 4096, 4097, 8191, 32000, 32003, 50001, 131072, 131073, 300000}) {
    for (const int32_t beam_size : {1, 2, 3, 4, 5, 8, 17, 32}) {
      if (vocab_size > 10000 && beam_size % 4 != 0) continue;
      Random random(++seed);
      const auto type = static_cast<DataType>(seed % 3);
      constexpr PolicyKind kPolicies[] = {PolicyKind::kGnmt, PolicyKind::kNemo, PolicyKind::kHf};
      const PolicyKind policy = kPolicies[random.integer(0, 2)];
      const auto options = options_for(beam_size, vocab_size, policy, 1);
      std::vector<float> logits;
      for (int32_t row = 0; row < beam_size; ++row) {
        const auto drawn = random_row(random, options);
        logits.insert(logits.end(), drawn.begin(), drawn.end());
      }
      const size_t offset = random.integer(0, 1) == 0 ? 0 : size_of(type);
      SCOPED_TRACE("V " + std::to_string(vocab_size) + ", K " + std::to_string(beam_size) + ", " +
                   name_of(type) + ", " + std::to_string(offset) + " bytes off");
      expect_like_cpu(logits, options, type, offset);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(TopLogProbsOnDevice, TakesSortedAndEqualLogits) {
  for (const auto& [vocab_size, policy] : {std::pair{100, PolicyKind::kGnmt},
                                           {5000, PolicyKind::kGnmt},
                                           {140000, PolicyKind::kGnmt},
                                           {100, PolicyKind::kHf},
                                           {40, PolicyKind::kHf},
                                           {140000, PolicyKind::kHf}}) {
    const auto options = options_for(32, vocab_size, policy, 1);
    std::vector<float> rising(size(32) * size(vocab_size));
    for (size_t i = 0; i < rising.size(); ++i) {
      rising[i] = 1e-3F * static_cast<float>(i % size(vocab_size));
    }
    std::vector<float> falling(rising.rbegin(), rising.rend());
    const std::vector<float> equal(rising.size(), -3.0F);
    std::vector<float> zeros(rising.size(), 0.0F);
    for (size_t i = 0; i < zeros.size(); i += 2) zeros[i] = -0.0F;
    for (const auto& logits : {rising, falling, equal, zeros}) {
      expect_like_cpu(logits, options, DataType::kFloat32, 0);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(TopLogProbsOnDevice, TakesHugeLogits) {
  const auto options = options_for(2, 2000, PolicyKind::kNemo, 1);
  std::vector<float> logits(4000, -3e38F);
  logits[40] = 3e38F;
  logits[41] = 2.9e38F;
  logits[2000 + 1999] = 1e-30F;
  expect_like_cpu(logits, options, DataType::kFloat32, 0);
}

TEST_F(TopLogProbsOnDevice, GivesARowTheSameBitsAnywhere) {
  for (const int32_t vocab_size : {777, 32000, 32003}) {
    Random random(static_cast<uint64_t>(vocab_size));
    const auto options = options_for(4, vocab_size, PolicyKind::kGnmt, 1);
    const auto row = random_row(random, options);
    std::vector<Candidate> expected;
    for (const int32_t sentences : {1, 2, 7, 40}) {
      const auto batch = options_for(4, vocab_size, PolicyKind::kGnmt, sentences);
      std::vector<float> logits;
      std::vector<bool> is_the_row;
      for (int32_t i = 0; i < 4 * sentences; ++i) {
        is_the_row.push_back(sentences == 1 || random.with_probability(0.2F));
        const auto drawn = is_the_row.back() ? row : random_row(random, options);
        logits.insert(logits.end(), drawn.begin(), drawn.end());
      }
      const auto given = Kernel(batch).run(logits, DataType::kFloat16, sentences == 2 ? 2 : 0);
      if (expected.empty()) expected.assign(given.begin(), given.begin() + 4);
      for (size_t i = 0; i < given.size(); ++i) {
        if (!is_the_row[i / 4]) continue;
        ASSERT_EQ(given[i].token, expected[i % 4].token) << "row " << i / 4 << " of " << 4 * sentences;
        ASSERT_EQ(bits_of(given[i].log_prob), bits_of(expected[i % 4].log_prob))
            << "row " << i / 4 << " of " << 4 * sentences;
      }
    }
  }
}

TEST_F(TopLogProbsOnDevice, ReportsBadLogitsWhereverTheyAre) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const int32_t vocab_size : {5, 1024, 9000, 200003}) {
    const auto options = options_for(2, vocab_size, PolicyKind::kGnmt, 1);
    const std::vector<float> good(size(2) * size(vocab_size), 1.0F);
    Kernel untroubled(options);
    untroubled.run(good, DataType::kFloat32, 0);
    EXPECT_FALSE(untroubled.met_bad_logits()) << "V " << vocab_size;
    for (const float value : {nan, infinity}) {
      for (const size_t place : {size_t{0}, good.size() / 3, size(vocab_size) - 1, good.size() - 1}) {
        auto logits = good;
        logits[place] = value;
        Kernel kernel(options);
        kernel.run(logits, DataType::kFloat32, 0);
        EXPECT_TRUE(kernel.met_bad_logits()) << value << " at " << place << " of V " << vocab_size;
      }
    }
    auto nothing = good;
    std::fill(nothing.begin() + vocab_size, nothing.end(), -infinity);
    Kernel kernel(options);
    kernel.run(nothing, DataType::kFloat32, 0);
    EXPECT_TRUE(kernel.met_bad_logits()) << "V " << vocab_size;
  }
}

TEST_F(TopLogProbsOnDevice, RefusesIntegers) {
  const auto options = options_for(1, 10, PolicyKind::kGnmt, 1);
  Kernel kernel(options);
  EXPECT_THROW(kernel.run(std::vector<float>(10), DataType::kInt32, 0), UsageError);
}

}  // namespace
}  // namespace nmt_trt
