#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/engine.h"
#include "cuda/attention.h"

namespace nmt_trt::cuda {

/// The sources of a batch in one array of rows, one row a token, without padding between them.
struct PackedSources {
  int32_t sentences;       // B
  int32_t longest;         // at least every length; sizes the grid
  const int32_t* starts;   // [B] first row of each, on the device
  const int32_t* lengths;  // [B] tokens of each, 0 for a padding row of the batch, on the device
};

void encoder_attention(const PackedSources& sources, const HeadShape& shape, bool causal, const void* qkv,
                       void* out, DataType type, cudaStream_t stream);

void split_heads(const PackedSources& sources, const HeadShape& shape, int32_t source,
                 const void* keys_values, void* cross_k, void* cross_v, DataType type, cudaStream_t stream);

}  // namespace nmt_trt::cuda
