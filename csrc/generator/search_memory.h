#pragma once

#include <cstdint>
#include <vector>

#include "core/hypothesis.h"
#include "core/options.h"
#include "cuda/device_buffer.h"
#include "cuda/mapped.h"
#include "cuda/search.h"
#include "generator/model_shape.h"

namespace nmt_trt {

/// The beam search of one batch at a time in device memory. Its addresses never change: CUDA graphs hold
/// them.
class SearchMemory {
 public:
  /// Room for `sentences` sentences of `capacity` generated tokens.
  SearchMemory(const ModelShape& shape, PolicyKind policy, int32_t beam_size, int32_t sentences,
               int32_t capacity, cudaStream_t stream);

  /// Sends what a new batch needs and forgets the last one's progress; sentences beyond options.max_lengths
  /// are finished from the start.
  void upload(const SearchOptions& options, cudaStream_t stream);

  const cuda::SearchState& state() const { return state_; }
  /// What the device last told of its progress; read it again to see it change.
  const volatile cuda::SearchProgress& progress() const { return *progress_.host(); }

  /// The hypotheses of each sentence after `steps` updates, best first; waits for the stream.
  std::vector<std::vector<Hypothesis>> results(const SearchOptions& options, int32_t steps,
                                               cudaStream_t stream);

  size_t bytes() const { return memory_.bytes(); }

 private:
  cuda::DeviceBuffer memory_;
  cuda::Mapped<cuda::SearchProgress> progress_;
  cuda::SearchState state_{};
  cuda::Pinned<int32_t> limits_;   // [B]
  cuda::Pinned<float> penalties_;  // [capacity + 4]
};

}  // namespace nmt_trt
