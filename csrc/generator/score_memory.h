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

/// Whether next tokens are other than their logits alone say: logits processors (core/processors), or target
/// prefixes.
bool changes_scores(const SearchOptions& options);

/// What searches with score options have in device memory. Addresses that kernels are given never change;
/// bad words, of which there may be any number, are found by way of ScoreRules.
class ScoreMemory {
 public:
  /// For searches of `capacity` generated tokens.
  ScoreMemory(const ModelShape& shape, int32_t sentences, int32_t beam_size, int32_t capacity,
              cudaStream_t stream);

  /// Makes room for the options' bad words, no batch being under way. Throws OutOfMemoryError.
  void reserve(const SearchOptions& options);
  /// Sends a batch's options, for which there is room.
  void upload(const SearchOptions& options, cudaStream_t stream);

  const cuda::ScoreState& state() const { return state_; }
  size_t bytes() const { return memory_.bytes() + words_.bytes(); }

 private:
  void write_rules(const SearchOptions& options);
  void write_prefixes(const SearchOptions& options);

  int32_t capacity_;
  cuda::DeviceBuffer memory_;
  cuda::DeviceBuffer words_;  // ends of bad words, then their tokens
  cuda::ScoreState state_{};
  cuda::Pinned<cuda::ScoreRules> host_rules_;
  cuda::Pinned<uint32_t> host_banned_;
  cuda::Pinned<int32_t> host_words_, host_prefixes_;
};

}  // namespace nmt_trt
