#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/engine.h"
#include "cuda/attention.h"

namespace nmt_trt::cuda {

/// The sources of a batch in one array of T rows, a row a token, without padding between them.
struct PackedSources {
  int32_t sentences;       // B, at most 65535
  int32_t longest;         // at least every length; sizes the grid
  const int32_t* starts;   // [B] first row of each, on the device
  const int32_t* lengths;  // [B] tokens of each, 0 for padding of the batch, on the device
};

/// Self-attention of an encoder. qkv: [T, 3 * hidden], each row query, key, value; out: [T, hidden]; both of
/// `type` (kFloat32, kFloat16, kBFloat16). causal: a token attends to itself and to those before it. Scores,
/// softmax and sums in fp32; the order of a token's sums depends on the number of tokens that it attends to
/// alone. Rows of no sentence are left alone.
void encoder_attention(const PackedSources& sources, const HeadShape& shape, bool causal, const void* qkv,
                       void* out, DataType type, cudaStream_t stream);

/// The keys and values that cross_attention() looks at. keys_values: [T, 2 * hidden], each row key, value;
/// cross_k, cross_v: [B, heads, source, head_size]; all of `type`. Positions behind a sentence's length are
/// left alone; `source` is at least every length.
void split_heads(const PackedSources& sources, const HeadShape& shape, int32_t source,
                 const void* keys_values, void* cross_k, void* cross_v, DataType type, cudaStream_t stream);

}  // namespace nmt_trt::cuda
