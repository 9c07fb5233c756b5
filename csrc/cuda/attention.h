#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/engine.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {

/// Widths of attention. hidden = heads * head_size.
struct HeadShape {
  int32_t heads;
  int32_t head_size;
  /// What scores are multiplied by: head_size^-0.5.
  float scale;
};

/// Source tokens of a row that record_attention() takes, whose scores lie in shared memory.
inline constexpr int32_t kMaxRecordedSource = 8192;

/// Self-attention of one decoder step for R rows of K hypotheses, and the append to the cache.
/// qkv: [R * K, 3 * hidden], each row query, key, value; cache_k, cache_v: [R, heads, inputs.slots,
/// head_size]; out: [R * K, hidden]; all of `type` (kFloat32, kFloat16, kBFloat16). With j = *state.steps,
/// writes the keys and values of hypothesis k to slot j * K + k, then attends to slot 0 (the start token)
/// and, for each generated step i < j, to slot (i + 1) * K + ancestry[sentence][k][i]; the newest of those is
/// the slot just written. Scores, softmax and sums in fp32; the order of the sums depends on j alone, so that
/// a hypothesis' bits depend on nothing but its own inputs. Rows of padding and of finished sentences are
/// left alone, and nothing is done when slot j * K + K - 1 is not below inputs.slots.
void self_attention(const SearchState& state, const StepInputs& inputs, const HeadShape& shape,
                    const void* qkv, void* cache_k, void* cache_v, void* out, DataType type,
                    cudaStream_t stream);

/// Attention to the source. query: [R * K, hidden]; cross_k, cross_v: [R, heads, source, head_size]; lengths:
/// [R], source positions in use, 1 to `source`; out: [R * K, hidden]; all but lengths of `type`. Precision,
/// order and rows left alone as above; the bits do not depend on `source`.
void cross_attention(const SearchState& state, const StepInputs& inputs, const HeadShape& shape,
                     int32_t source, const int32_t* lengths, const void* query, const void* cross_k,
                     const void* cross_v, void* out, DataType type, cudaStream_t stream);

/// With *state.attention: what each hypothesis of each row attends to in the source, of the arguments that
/// cross_attention() is given, averaged over the heads; with j = *state.steps, written to place (sentence, j,
/// k) of the record, 0 behind the source. In fp32; the bits do not depend on `source`, at most
/// kMaxRecordedSource. Rows left alone as above, and nothing is recorded that the record has no room for.
void record_attention(const SearchState& state, const StepInputs& inputs, const HeadShape& shape,
                      int32_t source, const int32_t* lengths, const void* query, const void* cross_k,
                      DataType type, cudaStream_t stream);

}  // namespace nmt_trt::cuda
