#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "core/beam_search.h"
#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"
#include "cuda/search_logits.h"

namespace nmt_trt {
namespace {

using namespace testing;

constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16};

size_t size(int64_t count) { return static_cast<size_t>(count); }

/// One search on the device beside the CPU's, fed with the same logits.
class Pair {
 public:
  explicit Pair(uint64_t seed)
      : random_(seed),
        plan_(random_search(random_, {PolicyKind::kGnmt, PolicyKind::kNemo})),
        logits_type_(kTypes[random_.integer(0, 2)]),
        slots_(plan_.options.beam_size * (plan_.capacity + random_.integer(0, 2))),
        cpu_(plan_.options),
        gpu_(plan_.options, static_cast<int32_t>(plan_.sentence_of_row.size()), plan_.capacity),
        stage_(plan_.options, plan_.sentence_of_row, slots_),
        tokens_(plan_.options.max_lengths.size() * size(plan_.options.beam_size)) {}

  /// False when the logits could not be drawn without near ties; nothing is proven then.
  bool run() {
    gpu_.start(stage_);
    compare_inputs(gpu_.snapshot());
    while (!cpu_.done()) {
      const SearchSnapshot before = gpu_.snapshot();
      bool settled = true;
      const StepLogits logits = draw_logits(random_, plan_.options, before, logits_type_, true, settled);
      if (!settled) return false;
      advance(logits.values);
      compare();
      if (::testing::Test::HasFatalFailure()) return true;
    }
    compare_results(gpu_.snapshot());
    expect_nothing_changes();
    return true;
  }

 private:
  const SearchOptions& options() const { return plan_.options; }

  void advance(const std::vector<float>& logits) {
    const int32_t row_size = options().beam_size * options().vocab_size;
    gpu_.step(stage_, encode(rows_of(logits, plan_.sentence_of_row, row_size), logits_type_), logits_type_);
    if (cpu_.steps() > 0) return cpu_.advance(logits.data());
    std::vector<float> first;
    for (size_t sentence = 0; sentence < options().max_lengths.size(); ++sentence) {
      const auto row = logits.begin() + static_cast<std::ptrdiff_t>(sentence * size(row_size));
      first.insert(first.end(), row, row + options().vocab_size);
    }
    cpu_.start(first.data());
  }

  void compare() {
    const SearchSnapshot after = gpu_.snapshot();
    ASSERT_EQ(after.steps, cpu_.steps());
    ASSERT_EQ(after.progress.steps(), cpu_.steps());
    ASSERT_EQ(after.progress.bad_logits, 0);
    ASSERT_EQ(after.active() == 0, cpu_.done());
    const auto finished = std::count(after.finished.begin(), after.finished.end(), uint8_t{1});
    ASSERT_EQ(finished + after.active(), cpu_.rows());
    if (options().policy == PolicyKind::kGnmt) {
      ASSERT_EQ(finished, cpu_.finished_rows());
    }
    const size_t beams = size(cpu_.rows()) * size(options().beam_size);
    tokens_.assign(beams, 0);
    ancestry_.assign(beams * size(cpu_.steps()), 0);
    cpu_.tokens(tokens_.data());
    cpu_.ancestry(ancestry_.data());
    compare_beams(after);
    compare_inputs(after);
  }

  void compare_beams(const SearchSnapshot& after) {
    const auto steps = size(after.steps);
    const auto beam_size = size(options().beam_size);
    for (size_t beam = 0; beam < tokens_.size(); ++beam) {
      const size_t sentence = beam / beam_size;
      const size_t newest = (sentence * size(plan_.capacity) + steps - 1) * beam_size + beam % beam_size;
      ASSERT_EQ(after.tokens[newest], tokens_[beam]) << "step " << steps << ", hypothesis " << beam;
      for (size_t step = 0; step < steps; ++step) {
        ASSERT_EQ(after.ancestry[beam * size(plan_.capacity) + step], ancestry_[beam * steps + step])
            << "step " << steps << ", hypothesis " << beam << " at " << step;
      }
    }
  }

  // The rows of unfinished sentences.
  void compare_inputs(const SearchSnapshot& after) {
    const auto token = stage_.token.values();
    ASSERT_EQ(stage_.position.values()[0], std::min(after.steps, stage_.inputs.max_position));
    const auto beam_size = size(options().beam_size);
    for (size_t row = 0; row < plan_.sentence_of_row.size(); ++row) {
      const int32_t sentence = plan_.sentence_of_row[row];
      if (sentence < 0 || after.finished[size(sentence)] != 0) continue;
      const size_t first = size(sentence) * beam_size;
      for (size_t k = 0; k < beam_size; ++k) {
        ASSERT_EQ(token[row * beam_size + k], after.steps == 0 ? options().bos : tokens_[first + k]);
      }
    }
  }

  void compare_results(const SearchSnapshot& after) {
    const auto results = cpu_.results();
    const auto beam_size = size(options().beam_size);
    for (size_t sentence = 0; sentence < results.size(); ++sentence) {
      const auto* slots = &after.slots[sentence * beam_size];
      std::vector<size_t> order(beam_size);
      std::iota(order.begin(), order.end(), size_t{0});
      std::stable_sort(order.begin(), order.end(),
                       [slots](size_t a, size_t b) { return score(slots[a]) > score(slots[b]); });
      for (size_t i = 0; i < results[sentence].size(); ++i) {
        const float tolerance = 1e-4F * std::max(1.0F, std::abs(results[sentence][i].log_prob));
        if (i + 1 < beam_size && score(slots[order[i]]) - score(slots[order[i + 1]]) <= tolerance) break;
        ASSERT_EQ(words(after, sentence, order[i]), results[sentence][i].tokens) << "sentence " << sentence;
        if (std::isinf(results[sentence][i].log_prob)) {
          ASSERT_EQ(slots[order[i]].sum, results[sentence][i].log_prob);
        } else {
          ASSERT_NEAR(slots[order[i]].sum, results[sentence][i].log_prob, tolerance);
        }
      }
    }
  }

  static float score(const cuda::BeamSlot& slot) { return slot.sum / slot.penalty; }

  std::vector<int32_t> words(const SearchSnapshot& after, size_t sentence, size_t k) const {
    std::vector<int32_t> found;
    const auto beam_size = size(options().beam_size);
    for (size_t step = 0; step < size(after.steps); ++step) {
      const int32_t slot = after.ancestry[(sentence * beam_size + k) * size(plan_.capacity) + step];
      const int32_t token = after.tokens[(sentence * size(plan_.capacity) + step) * beam_size + size(slot)];
      if (token != options().eos && token != options().pad) found.push_back(token);
    }
    return found;
  }

  void expect_nothing_changes() {
    const SearchSnapshot before = gpu_.snapshot();
    const auto token = stage_.token.values();
    const auto position = stage_.position.values();
    const std::vector<float> logits(token.size() * size(options().vocab_size),
                                    std::numeric_limits<float>::quiet_NaN());
    for (int i = 0; i < 2; ++i) gpu_.step(stage_, encode(logits, logits_type_), logits_type_);
    expect_same(gpu_.snapshot(), before);
    EXPECT_EQ(stage_.token.values(), token);
    EXPECT_EQ(stage_.position.values(), position);
  }

  Random random_;
  RandomSearch plan_;
  DataType logits_type_;
  int32_t slots_;
  BeamSearch cpu_;
  GpuSearch gpu_;
  GpuStage stage_;
  std::vector<int32_t> tokens_;    // [B, K] the CPU's
  std::vector<int32_t> ancestry_;  // [B, K, steps] the CPU's
};

class WholeSearch : public CudaTest {};

TEST_F(WholeSearch, AgreesWithTheCpu) {
  const int32_t seeds = seed_count(200);
  int32_t unsettled = 0;
  for (int32_t seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    if (!Pair(static_cast<uint64_t>(seed)).run()) ++unsettled;
    if (HasFailure()) break;
  }
  EXPECT_LE(unsettled, std::max(1, seeds / 10)) << "too many searches with near ties";
}

}  // namespace
}  // namespace nmt_trt
