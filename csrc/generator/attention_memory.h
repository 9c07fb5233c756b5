#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/attention_rows.h"
#include "core/options.h"
#include "cuda/device_buffer.h"
#include "cuda/mapped.h"
#include "cuda/search.h"

namespace nmt_trt {

/// What searches that keep attention have in device memory for it: of the size of the batch under way, found
/// by way of AttentionRecord, whose address never changes.
class AttentionMemory {
 public:
  AttentionMemory();

  /// Makes room for a batch of such options, no batch being under way, and tells the device where it is. What
  /// is there is kept if it suffices and is not more than twice as much. Throws OutOfMemoryError.
  void reserve(const SearchOptions& options, cudaStream_t stream);
  /// Gives it up, until reserve() is called again.
  void release() { rows_ = {}; }

  const cuda::AttentionRecord* state() const { return static_cast<cuda::AttentionRecord*>(record_.data()); }
  size_t bytes() const { return record_.bytes() + rows_.bytes(); }

  /// What was recorded of each sentence in `steps` steps; waits for the stream.
  std::vector<AttentionRows> rows(const SearchOptions& options, int32_t steps, cudaStream_t stream) const;

 private:
  cuda::DeviceBuffer record_, rows_;
  cuda::Pinned<cuda::AttentionRecord> host_record_;
};

}  // namespace nmt_trt
