#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "core/options.h"
#include "cuda/device_buffer.h"
#include "cuda/mapped.h"
#include "cuda/search.h"
#include "generator/model_shape.h"

namespace nmt_trt {

/// Whether there are logits processors for these options (core/processors).
bool changes_scores(const SearchOptions& options);

/// What searches with score options have in device memory. Addresses that kernels are given never change;
/// bad words, of which there may be any number, are found by way of ScoreRules.
class ScoreMemory {
 public:
  /// For `beams` hypotheses with `capacity` generated tokens.
  ScoreMemory(const ModelShape& shape, size_t beams, int32_t capacity, cudaStream_t stream);

  /// Makes room for the options' bad words, no batch being under way. Throws OutOfMemoryError.
  void reserve(const SearchOptions& options);
  /// Sends a batch's options, for which there is room.
  void upload(const SearchOptions& options, cudaStream_t stream);

  const cuda::ScoreState& state() const { return state_; }
  size_t bytes() const { return memory_.bytes() + words_.bytes(); }

 private:
  void write_words(const SearchOptions& options);

  cuda::DeviceBuffer memory_;
  cuda::DeviceBuffer words_;  // ends of bad words, then their tokens
  cuda::ScoreState state_{};
  cuda::Pinned<cuda::ScoreRules> host_rules_;
  cuda::Pinned<uint32_t> host_banned_;
  cuda::Pinned<int32_t> host_words_;
};

}  // namespace nmt_trt
