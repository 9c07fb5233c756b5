#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/engine.h"
#include "cuda/attention.h"

namespace nmt_trt::cuda {

/// The sources of a batch in one array of T rows, one row a token, without padding between them. B is at most
/// 65535.
struct PackedSources {
  int32_t sentences;       // B
  int32_t longest;         // at least every length
  const int32_t* starts;   // [B] first row of each, on the device
  const int32_t* lengths;  // [B] tokens of each, 0 for a padding row of the batch, on the device
};

/// Self-attention of the encoder. qkv: [T, 3 * hidden], each row query, key, value; out: [T, hidden]; both of
/// `type` (kFloat32, kFloat16, kBFloat16), at addresses that are multiples of 16. A token attends to all of
/// its sentence, or to itself and those before it if `causal`. Rows of no sentence are left alone. Scores,
/// softmax and sums in fp32; on tensor cores the softmax' numerators are rounded to `type` before they meet
/// the values. The order of the sums depends on the token's position and the sentence's length alone, so that
/// a sentence's bits depend on nothing but its own inputs.
void encoder_attention(const PackedSources& sources, const HeadShape& shape, bool causal, const void* qkv,
                       void* out, DataType type, cudaStream_t stream);

/// Lays out keys and values as cross_attention() reads them. keys_values: [T, 2 * hidden], each row key,
/// value; cross_k, cross_v: [B, heads, source, head_size], where `source` is at least every length; all of
/// `type`. Positions behind a sentence's length are left alone.
void split_heads(const PackedSources& sources, const HeadShape& shape, int32_t source,
                 const void* keys_values, void* cross_k, void* cross_v, DataType type, cudaStream_t stream);

}  // namespace nmt_trt::cuda
