#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include "core/hypothesis.h"
#include "core/options.h"
#include "cuda/device_buffer.h"
#include "cuda/mapped.h"
#include "cuda/search.h"
#include "generator/attention_memory.h"
#include "generator/model_shape.h"
#include "generator/pool_memory.h"
#include "generator/sample_memory.h"
#include "generator/score_memory.h"

namespace nmt_trt {

/// What decides which kernels a search launches, and what it holds. The other options are values that a batch
/// brings with it.
struct SearchKey {
  PolicyKind policy;
  int32_t beam_size;
  int32_t beam_groups;
  /// changes_scores()
  bool scores;
  /// keeps_token_scores() and keeps_attention()
  bool token_scores, attention;

  static SearchKey of(const SearchOptions& options) {
    return {options.policy,          options.beam_size,           options.beam_groups,
            changes_scores(options), keeps_token_scores(options), keeps_attention(options)};
  }
  bool operator<(const SearchKey& other) const { return fields() < other.fields(); }

 private:
  std::tuple<PolicyKind, int32_t, int32_t, bool, bool, bool> fields() const {
    return {policy, beam_size, beam_groups, scores, token_scores, attention};
  }
};

/// The beam search of one batch at a time in device memory. Its addresses never change: CUDA graphs hold
/// them.
class SearchMemory {
 public:
  /// Room for `sentences` sentences of `capacity` generated tokens.
  SearchMemory(const ModelShape& shape, const SearchKey& key, int32_t sentences, int32_t capacity,
               cudaStream_t stream);

  /// Makes room for options of which there may be any number, no batch being under way. Throws
  /// OutOfMemoryError.
  void reserve(const SearchOptions& options, cudaStream_t stream) {
    if (scores_) scores_->reserve(options);
    if (attention_) attention_->reserve(options, stream);
  }
  /// Gives up what reserve() made for attention, no batch being under way.
  void release() {
    if (attention_) attention_->release();
  }

  /// Sends what a new batch needs and forgets the last one's progress; sentences beyond options.max_lengths
  /// are finished from the start.
  void upload(const SearchOptions& options, cudaStream_t stream);

  const cuda::SearchState& state() const { return state_; }
  /// What the device last told of its progress; read it again to see it change.
  const volatile cuda::SearchProgress& progress() const { return *progress_.host(); }

  /// The hypotheses of each sentence after `steps` updates, best first; waits for the stream.
  std::vector<std::vector<Hypothesis>> results(const SearchOptions& options, int32_t steps,
                                               cudaStream_t stream);

  size_t bytes() const {
    return memory_.bytes() + (scores_ ? scores_->bytes() : 0) + (pool_ ? pool_->bytes() : 0) +
           (samples_ ? samples_->bytes() : 0) + (attention_ ? attention_->bytes() : 0);
  }

 private:
  cuda::DeviceBuffer memory_;
  std::optional<ScoreMemory> scores_;
  std::optional<PoolMemory> pool_;
  std::optional<SampleMemory> samples_;
  std::optional<AttentionMemory> attention_;
  cuda::Mapped<cuda::SearchProgress> progress_;
  cuda::SearchState state_{};
  cuda::Pinned<int32_t> limits_;   // [B]
  cuda::Pinned<float> penalties_;  // [capacity + 4]
  cuda::Pinned<float> diversity_penalty_;
};

}  // namespace nmt_trt
