#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/options.h"
#include "cuda/gpu.h"
#include "cuda/kernels/beam_rules.h"
#include "cuda/mapped.h"
#include "cuda/search.h"
#include "generator/pool_memory.h"
#include "generator/sample_memory.h"
#include "generator/score_memory.h"

namespace nmt_trt::testing {

/// All K hypotheses of a search are returned; EOS, PAD and the start token are 1, 2 and 3.
SearchOptions search_options(PolicyKind policy, int32_t beam_size, int32_t vocab_size,
                             std::vector<int32_t> max_lengths, float length_penalty);

/// The StepInputs of one stage and what belongs to them.
struct GpuStage {
  /// rows_of: the sentence of each row, -1 for padding.
  GpuStage(const SearchOptions& options, const std::vector<int32_t>& sentence_of_row, int32_t slots);

  DeviceArray<int32_t> sentence, token, position;
  DeviceArray<Candidate> candidates;
  cuda::StepInputs inputs{};
};

/// All that a search is, but for its inputs.
struct SearchSnapshot {
  std::vector<cuda::BeamSlot> slots;  // [B, K]
  std::vector<int32_t> tokens;        // [B, T, K]
  std::vector<int32_t> ancestry;      // [B, K, T]
  std::vector<float> token_scores;    // [B, T, K], if they are kept
  std::vector<uint8_t> finished;      // [B]
  int32_t steps;
  cuda::SearchProgress progress;

  /// Sentences that have not finished.
  int32_t active() const { return progress.at(progress.steps()).active; }
};

/// A beam search on the device, its memory and its calls.
class GpuSearch {
 public:
  GpuSearch(const SearchOptions& options, int32_t most_rows, int32_t capacity);

  void start(const GpuStage& stage) { cuda::start_search(state_, stage.inputs, options_.bos, nullptr); }
  /// One step with these logits, [R, K, V] of `type`.
  void step(const GpuStage& stage, const std::vector<std::byte>& logits, DataType type);
  /// Sets the steps made so far, for tests of a single kernel.
  void set_steps(int32_t steps) { steps_.upload({steps}); }
  void set_ended(const std::vector<uint8_t>& ended) { ended_.upload(ended); }

  /// Waits for the device.
  SearchSnapshot snapshot() const;
  /// What the pool of each sentence holds, policy being hf.
  std::vector<std::vector<Hypothesis>> pooled(const SearchSnapshot& now) const;
  const cuda::SearchState& state() const { return state_; }
  const SearchOptions& options() const { return options_; }
  int32_t capacity() const { return state_.capacity; }

 private:
  SearchOptions options_;
  DeviceArray<int32_t> max_lengths_, words_, tokens_, ancestry_, steps_, bad_logits_;
  DeviceArray<float> penalties_, sum_, penalty_, token_scores_, diversity_penalty_;
  DeviceArray<uint8_t> ended_, finished_, own_finished_;
  DeviceArray<uint32_t> arrived_;
  cuda::Mapped<cuda::SearchProgress> progress_;
  std::optional<ScoreMemory> scores_;
  std::optional<PoolMemory> pool_;
  std::optional<SampleMemory> samples_;
  cuda::SearchState state_{};
};

/// The penalty of each length that a search of `capacity` tokens asks for.
std::vector<float> penalty_table(const SearchOptions& options, int32_t capacity);
/// The rules with a table that must outlive them.
cuda::BeamRules rules_of(const SearchOptions& options, const std::vector<float>& penalties);

void expect_same(const SearchSnapshot& one, const SearchSnapshot& other);

}  // namespace nmt_trt::testing
