#include "cuda/encoder_attention.h"

#include <cstdint>

#include "cuda/check.h"
#include "cuda/kernels/attention_launch.cuh"
#include "cuda/kernels/attention_layout.cuh"
#include "cuda/kernels/attention_softmax.cuh"

namespace nmt_trt::cuda {
namespace {

// Tokens that use a key and a value once read.
constexpr int kTokens = 4;
constexpr int kThreads = 128;

template <typename T>
struct Arguments {
  const int32_t* starts;
  const int32_t* lengths;
  int32_t head_size;
  float scale;  // of powers of 2
  bool causal;
  const T* qkv;
  T* out;
};

// The keys and values of a sentence, of one head.
template <typename T>
struct PackedRows {
  const T* keys;
  int64_t hidden;

  __device__ int32_t find(int32_t position) const { return position; }
  __device__ HeadRows<T> at(int32_t position, int32_t) const {
    const T* key = keys + position * 3 * hidden;
    return {key, key + hidden};
  }
};

// Grid: tokens by kQueries, heads, sentences. Causal attention has one token a block.
template <typename T, typename Layout, int kQueries>
__global__ void __launch_bounds__(kThreads) encoder_attention_kernel(const Arguments<T> arguments) {
  __shared__ MergeSpace<Layout, kQueries> space;
  const auto sentence = static_cast<int32_t>(blockIdx.z);
  const auto head = static_cast<int32_t>(blockIdx.y);
  const int32_t length = arguments.lengths[sentence];
  const int32_t first = static_cast<int32_t>(blockIdx.x) * kQueries;
  if (first >= length) return;
  const int32_t head_size = arguments.head_size;
  const int lane = static_cast<int>(threadIdx.x) % Layout::kLanes;
  const int64_t hidden = static_cast<int64_t>(gridDim.y) * head_size;
  const int64_t start = arguments.starts[sentence];
  const T* queries = arguments.qkv + start * 3 * hidden + head * head_size;
  const int32_t used = min(kQueries, length - first);
  HeadPart<T> query_parts[kQueries];
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    query_parts[q] = load_part<Layout>(queries + (first + min(q, used - 1)) * 3 * hidden, head_size, lane);
  }
  float query[kQueries][kHeadPart];
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    scaled_query<Layout>(query_parts[q], head_size, lane, arguments.scale, query[q]);
  }
  const int32_t positions = arguments.causal ? first + 1 : length;
  const PackedRows<T> rows = {queries + hidden, hidden};
  Attended<kQueries> attended;
  attend<Layout, T>(query, positions, head_size, rows, find_rows<Layout>(rows, 0, positions), attended);

  T* out = arguments.out + (start + first) * hidden + head * head_size;
  merge<Layout>(attended, space, [&](int q, int element, float value) {
    if (q < used && element < head_size) out[q * hidden + element] = from_float<T>(value);
  });
}

}  // namespace

void encoder_attention(const PackedSources& sources, const HeadShape& shape, bool causal, const void* qkv,
                       void* out, DataType type, cudaStream_t stream) {
  check_aligned("qkv", qkv);
  if (sources.sentences == 0 || sources.longest == 0) return;
  with_head_layout<kThreads>(shape, type, [&](auto number, auto layout) {
    using T = decltype(number);
    using Layout = decltype(layout);
    const Arguments<T> arguments = {sources.starts,       sources.lengths, shape.head_size,
                                    shape.scale * kLog2E, causal,          static_cast<const T*>(qkv),
                                    static_cast<T*>(out)};
    const auto heads = static_cast<unsigned int>(shape.heads);
    const auto sentences = static_cast<unsigned int>(sources.sentences);
    const auto longest = static_cast<unsigned int>(sources.longest);
    if (causal) {
      encoder_attention_kernel<T, Layout, 1>
          <<<dim3(longest, heads, sentences), kThreads, 0, stream>>>(arguments);
    } else {
      encoder_attention_kernel<T, Layout, kTokens>
          <<<dim3((longest - 1) / kTokens + 1, heads, sentences), kThreads, 0, stream>>>(arguments);
    }
  });
  NMT_TRT_CUDA_LAUNCHED(encoder_attention_kernel);
}

}  // namespace nmt_trt::cuda
