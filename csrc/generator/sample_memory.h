#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "core/options.h"
#include "cuda/device_buffer.h"
#include "cuda/mapped.h"
#include "cuda/search.h"

namespace nmt_trt {

/// What searches with policy sample have in device memory to draw by. Its addresses never change.
class SampleMemory {
 public:
  explicit SampleMemory(int32_t sentences);

  /// Sends a batch's options.
  void upload(const SearchOptions& options, cudaStream_t stream);

  const cuda::SampleState& state() const { return state_; }
  size_t bytes() const { return memory_.bytes(); }

 private:
  cuda::DeviceBuffer memory_;
  cuda::SampleState state_{};
  cuda::Pinned<cuda::SampleRules> host_rules_;
  cuda::Pinned<uint64_t> host_numbers_;
};

}  // namespace nmt_trt
