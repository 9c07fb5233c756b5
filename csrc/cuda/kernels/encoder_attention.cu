#include <cstdint>
#include <type_traits>

#include "cuda/check.h"
#include "cuda/encoder_attention.h"
#include "cuda/kernels/attention_launch.cuh"
#include "cuda/kernels/attention_layout.cuh"
#include "cuda/kernels/attention_softmax.cuh"
#include "cuda/kernels/encoder_arguments.h"
#include "cuda/kernels/encoder_attention_mma.cuh"

namespace nmt_trt::cuda {
namespace {

// Queries that use a key and a value once read.
constexpr int kQueriesTogether = 4;
constexpr int kThreads = 128;

// Grid: queries by kQueries, heads, sentences. A query that is causal looks at other positions than the next,
// so that kQueries is 1.
template <typename T, typename Layout, int kQueries>
__global__ void __launch_bounds__(kThreads) encoder_attention_kernel(const EncoderArguments<T> arguments) {
  __shared__ MergeSpace<Layout, kQueries> space;
  const int32_t length = arguments.lengths[blockIdx.z];
  const int32_t first = static_cast<int32_t>(blockIdx.x) * kQueries;
  if (first >= length) return;

  const int lane = static_cast<int>(threadIdx.x) % Layout::kLanes;
  const int32_t head_size = arguments.head_size;
  const int32_t head = static_cast<int32_t>(blockIdx.y) * head_size;
  const int64_t hidden = static_cast<int64_t>(gridDim.y) * head_size;
  const int64_t start = arguments.starts[blockIdx.z];
  const int32_t used = min(kQueries, length - first);
  const int32_t positions = arguments.causal ? first + 1 : length;
  const T* qkv = arguments.qkv + start * 3 * hidden + head;
  float query[kQueries][kHeadPart];
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    const auto part = load_part<Layout>(qkv + (first + min(q, used - 1)) * 3 * hidden, head_size, lane);
    scaled_query<Layout>(part, head_size, lane, arguments.scale, query[q]);
  }
  const SpacedRows<T, int64_t> rows = {qkv + hidden, qkv + 2 * hidden, 3 * hidden};
  Attended<kQueries> attended;
  Turns<T> turns;
  turns.template begin<Layout, false>(rows, positions, head_size);
  attend<Layout, false>(query, positions, head_size, rows, turns, attended);

  T* out = arguments.out + (start + first) * hidden + head;
  merge<Layout>(attended, space, [&](int q, int element, float value) {
    if (q < used && element < head_size) out[q * hidden + element] = from_float<T>(value);
  });
}

dim3 blocks_of(const PackedSources& sources, const HeadShape& shape, int32_t queries) {
  return {static_cast<unsigned int>((sources.longest - 1) / queries + 1),
          static_cast<unsigned int>(shape.heads), static_cast<unsigned int>(sources.sentences)};
}

// Whether the tensor-core kernel takes such heads, and is compiled for an architecture like the device's.
template <typename T>
bool suits_tensor_cores(int32_t head_size) {
  if (head_size % kMmaRun != 0 || head_size > kMaxMmaHeadSize) return false;
  cudaFuncAttributes attributes;
  NMT_TRT_CUDA(cudaFuncGetAttributes(&attributes, encoder_attention_mma_kernel<T, kMaxMmaHeadSize>));
  return attributes.ptxVersion >= kTensorCoreArch;
}

template <typename T>
void launch_on_tensor_cores(const dim3& blocks, const EncoderArguments<T>& arguments, cudaStream_t stream) {
  if (arguments.head_size <= 32) {
    encoder_attention_mma_kernel<T, 32><<<blocks, kMmaThreads, 0, stream>>>(arguments);
  } else if (arguments.head_size <= 64) {
    encoder_attention_mma_kernel<T, 64><<<blocks, kMmaThreads, 0, stream>>>(arguments);
  } else if (arguments.head_size <= 96) {
    encoder_attention_mma_kernel<T, 96><<<blocks, kMmaThreads, 0, stream>>>(arguments);
  } else {
    encoder_attention_mma_kernel<T, 128><<<blocks, kMmaThreads, 0, stream>>>(arguments);
  }
  NMT_TRT_CUDA_LAUNCHED(encoder_attention_mma_kernel);
}

}  // namespace

void encoder_attention(const PackedSources& sources, const HeadShape& shape, bool causal, const void* qkv,
                       void* out, DataType type, cudaStream_t stream) {
  check_aligned("qkv", qkv);
  check_aligned("out", out);
  if (sources.sentences == 0 || sources.longest == 0) return;
  with_head_layout<kThreads>(shape, type, [&](auto number, auto layout) {
    using T = decltype(number);
    using Layout = decltype(layout);
    const EncoderArguments<T> arguments = {sources.starts,       sources.lengths,
                                           shape.head_size,      causal,
                                           shape.scale * kLog2E, static_cast<const T*>(qkv),
                                           static_cast<T*>(out)};
    if constexpr (!std::is_same_v<T, float>) {
      if (suits_tensor_cores<T>(shape.head_size)) {
        launch_on_tensor_cores(blocks_of(sources, shape, kTile), arguments, stream);
        return;
      }
    }
    if (causal) {
      encoder_attention_kernel<T, Layout, 1>
          <<<blocks_of(sources, shape, 1), kThreads, 0, stream>>>(arguments);
    } else {
      encoder_attention_kernel<T, Layout, kQueriesTogether>
          <<<blocks_of(sources, shape, kQueriesTogether), kThreads, 0, stream>>>(arguments);
    }
    NMT_TRT_CUDA_LAUNCHED(encoder_attention_kernel);
  });
}

}  // namespace nmt_trt::cuda
