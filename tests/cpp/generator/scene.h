#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <random>
#include <vector>

#include "fake_device.h"
#include "fake_engine.h"
#include "generator/generator.h"
#include "on_fake_device.h"
#include "toy_model.h"

namespace nmt_trt::testing {

/// A batch for the toy model.
struct Batch {
  std::vector<std::vector<int32_t>> sources;
  SearchOptions options;
  bool deterministic = false;
};

/// How a batch is to be; `ends`: after how many tokens each sentence is over.
struct Wish {
  std::vector<int32_t> ends;
  PolicyKind policy = PolicyKind::kGnmt;
  int32_t beam_size = 2;
  /// Of every sentence.
  int32_t max_length = 150;
  bool deterministic = false;
  bool token_scores = false;
  bool attention = false;
  /// Longest source.
  int32_t source = 12;
};

/// Random sources.
Batch make_batch(const Wish& wish, uint32_t seed = 1);
/// `count` sentences that end after `first`, `first` + 1, ... tokens.
std::vector<int32_t> ends_from(int32_t first, int32_t count);
/// `count` sentences that end after the same number of tokens.
std::vector<int32_t> ends_at(int32_t end, int32_t count);
/// Anything that the plans of the toy model admit.
Batch random_batch(std::mt19937& random, int32_t longest);

/// What the CPU's search finds, the model being asked without caches.
using Found = std::vector<std::vector<Hypothesis>>;
using ToyModels = std::vector<toy::Model>;
Found expected(const Batch& batch, const ToyModels& models = {{}});

Generation generate(Generator& generator, const Batch& batch);
/// Whether these are the hypotheses wanted, to the last bit of their scores.
::testing::AssertionResult same(const Found& found, const Found& wanted);
/// Generates and compares with expected().
::testing::AssertionResult translates(Generator& generator, const Batch& batch,
                                      const ToyModels& models = {{}});
/// Makes what this batch needs for `steps` tokens.
void warm_up(Generator& generator, const Batch& batch, int32_t steps);

/// A generator for the toy model, or for an ensemble of several.
class ToyGenerator : public Generator {
 public:
  explicit ToyGenerator(const FakePlan& plan = {}, std::optional<size_t> memory_limit = std::nullopt);
  explicit ToyGenerator(PlanProvider provider);
  explicit ToyGenerator(const std::vector<FakePlan>& plans,
                        std::optional<size_t> memory_limit = std::nullopt);
};

/// How many batches succeeded, and how many ran out of memory.
struct Outcomes {
  int32_t successes = 0;
  int32_t failures = 0;
};

/// Generates all batches with memory limits of most / parts, 2 * most / parts and so on to `most`, in a
/// generator for each. Expects that the limits are kept and that what succeeds is as wanted.
Outcomes generate_within_limits(const std::vector<FakePlan>& plans, const std::vector<Batch>& batches,
                                const std::vector<Found>& wanted, size_t most, size_t parts);

/// Steps as they were launched since the last call.
std::vector<StepLaunch> take_steps();

}  // namespace nmt_trt::testing

namespace nmt_trt {

/// For messages of tests.
void PrintTo(const Hypothesis& hypothesis, std::ostream* out);

namespace testing {

void PrintTo(const StepLaunch& step, std::ostream* out);

}  // namespace testing
}  // namespace nmt_trt
