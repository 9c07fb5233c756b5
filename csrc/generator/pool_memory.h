#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/attention_rows.h"
#include "core/hypothesis.h"
#include "core/options.h"
#include "cuda/device_buffer.h"
#include "cuda/mapped.h"
#include "cuda/search.h"

namespace nmt_trt {

/// What searches with policy hf have in device memory for finished hypotheses. Its addresses never change.
class PoolMemory {
 public:
  PoolMemory(int32_t sentences, int32_t beam_size, int32_t capacity, cudaStream_t stream);

  /// When sentences end with these options.
  static cuda::StopRules stop_rules(const SearchOptions& options);
  /// Sends a batch's options.
  void upload(const SearchOptions& options, cudaStream_t stream);

  const cuda::PoolState& state() const { return state_; }
  size_t bytes() const { return memory_.bytes(); }

  /// What FinishedPool::best() is of each sentence after `steps` updates; waits for the stream. tokens: as
  /// generated, [sentences, steps, K]; scores: theirs, or empty; attention: of each sentence, if it is kept.
  std::vector<std::vector<Hypothesis>> best(const SearchOptions& options, int32_t steps,
                                            const std::vector<int32_t>& tokens,
                                            const std::vector<float>& scores,
                                            const std::vector<AttentionRows>& attention,
                                            cudaStream_t stream) const;

 private:
  int32_t beam_size_, capacity_;
  cuda::DeviceBuffer memory_;
  cuda::PoolState state_{};
  cuda::Pinned<cuda::StopRules> host_rules_;
};

}  // namespace nmt_trt
