#include <cstddef>
#include <cstdint>
#include <string>

#include "core/errors.h"
#include "cuda/attention.h"
#include "cuda/check.h"
#include "cuda/kernels/float_types.h"
#include "cuda/kernels/warp.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarpSize;

template <typename T>
struct Arguments {
  const AttentionRecord* record;
  const int32_t* steps;
  const int32_t* sentence;
  const uint8_t* finished;
  const int32_t* lengths;
  int32_t heads;
  int32_t source;
  int32_t head_size;
  float scale;
  const T* query;
  const T* keys;
};

// The largest or the sum of what the threads of a block have, in an order that is fixed. `space`: [kWarps].
template <typename Merge>
__device__ float over_block(float value, float* space, Merge merge) {
  for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
    value = merge(value, __shfl_xor_sync(kAllLanes, value, offset));
  }
  __syncthreads();
  if (threadIdx.x % kWarpSize == 0) space[threadIdx.x / kWarpSize] = value;
  __syncthreads();
  value = space[0];
  for (int warp = 1; warp < kWarps; ++warp) value = merge(value, space[warp]);
  return value;
}

// Grid: hypotheses, rows. Thread i of a block has positions i, i + kThreads, ... of `scores` and `out`; a
// head's scores are made by warps.
template <typename T>
__global__ void __launch_bounds__(kThreads) record_attention_kernel(const Arguments<T> arguments) {
  extern __shared__ float scores[];
  __shared__ float space[kWarps];
  const auto row = static_cast<int32_t>(blockIdx.y);
  const auto k = static_cast<int32_t>(blockIdx.x);
  const auto beam_size = static_cast<int32_t>(gridDim.x);
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t sentence = arguments.sentence[row];
  if (sentence < 0 || arguments.finished[sentence] != 0) return;
  const AttentionRecord record = *arguments.record;
  const int32_t step = *arguments.steps;
  if (sentence >= record.sentences || step >= record.steps) return;

  const int32_t heads = arguments.heads;
  const int32_t head_size = arguments.head_size;
  const int32_t positions = min(min(arguments.lengths[row], arguments.source), record.source);
  const int64_t place = (static_cast<int64_t>(sentence) * record.steps + step) * beam_size + k;
  float* out = record.rows + place * record.source;
  for (int32_t i = thread; i < record.source; i += kThreads) out[i] = 0.0F;
  const T* query = arguments.query + (static_cast<int64_t>(row) * beam_size + k) * heads * head_size;
  for (int32_t head = 0; head < heads; ++head, query += head_size) {
    const T* keys =
        arguments.keys + (static_cast<int64_t>(row) * heads + head) * arguments.source * head_size;
    for (int32_t i = thread / kWarpSize; i < positions; i += kWarps) {
      float part = 0.0F;
      for (int32_t e = thread % kWarpSize; e < head_size; e += kWarpSize) {
        part += to_float(query[e]) * to_float(keys[static_cast<int64_t>(i) * head_size + e]);
      }
      const float score = warp_sum(part) * arguments.scale;
      if (thread % kWarpSize == 0) scores[i] = score;
    }
    __syncthreads();
    float largest = -INFINITY;
    for (int32_t i = thread; i < positions; i += kThreads) largest = fmaxf(largest, scores[i]);
    largest = over_block(largest, space, [](float a, float b) { return fmaxf(a, b); });
    float sum = 0.0F;
    for (int32_t i = thread; i < positions; i += kThreads) {
      scores[i] = expf(scores[i] - largest);
      sum += scores[i];
    }
    sum = over_block(sum, space, [](float a, float b) { return a + b; }) * static_cast<float>(heads);
    for (int32_t i = thread; i < positions; i += kThreads) out[i] += scores[i] / sum;
    __syncthreads();
  }
}

}  // namespace

void record_attention(const SearchState& state, const StepInputs& inputs, const HeadShape& shape,
                      int32_t source, const int32_t* lengths, const void* query, const void* cross_k,
                      DataType type, cudaStream_t stream) {
  if (source > kMaxRecordedSource) {
    throw UsageError("the source of an attention that is kept",
                     "at most " + std::to_string(kMaxRecordedSource) + " tokens", std::to_string(source));
  }
  if (inputs.rows == 0) return;
  with_float_type("attention", type, [&](auto number) {
    using T = decltype(number);
    const Arguments<T> arguments = {state.attention,
                                    state.steps,
                                    inputs.sentence,
                                    state.finished,
                                    lengths,
                                    shape.heads,
                                    source,
                                    shape.head_size,
                                    shape.scale,
                                    static_cast<const T*>(query),
                                    static_cast<const T*>(cross_k)};
    const dim3 grid(static_cast<unsigned int>(state.beam_size), static_cast<unsigned int>(inputs.rows));
    const size_t shared = static_cast<size_t>(source) * sizeof(float);
    record_attention_kernel<T><<<grid, kThreads, shared, stream>>>(arguments);
  });
  NMT_TRT_CUDA_LAUNCHED(record_attention_kernel);
}

}  // namespace nmt_trt::cuda
