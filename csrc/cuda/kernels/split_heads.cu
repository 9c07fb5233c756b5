#include <cstdint>

#include "cuda/check.h"
#include "cuda/encoder_attention.h"
#include "cuda/kernels/attention_launch.cuh"
#include "cuda/kernels/float_types.h"

namespace nmt_trt::cuda {
namespace {

constexpr int kThreads = 128;
// Of a block; a thread has as many loads under way.
constexpr int kPositions = 4;

// Sizes in units.
template <typename Unit>
struct Arguments {
  const int32_t* starts;
  const int32_t* lengths;
  int32_t source;
  int32_t heads;
  int32_t head_size;
  const Unit* keys_values;
  Unit* cross_k;
  Unit* cross_v;
};

// Grid: positions by kPositions, sentences.
template <typename Unit>
__global__ void __launch_bounds__(kThreads) split_heads_kernel(const Arguments<Unit> arguments) {
  const auto sentence = static_cast<int32_t>(blockIdx.y);
  const int32_t first = static_cast<int32_t>(blockIdx.x) * kPositions;
  const int32_t used = min(min(arguments.lengths[sentence], arguments.source) - first, kPositions);
  if (used <= 0) return;

  const int32_t head_size = arguments.head_size;
  const int32_t hidden = arguments.heads * head_size;
  const int64_t row = static_cast<int64_t>(arguments.starts[sentence]) + first;
  const Unit* from = arguments.keys_values + row * 2 * hidden;
  for (int32_t column = static_cast<int32_t>(threadIdx.x); column < 2 * hidden; column += kThreads) {
    Unit units[kPositions];
#pragma unroll
    for (int i = 0; i < kPositions; ++i) {
      if (i < used) units[i] = from[static_cast<int64_t>(i) * 2 * hidden + column];
    }
    const int32_t within = column % hidden;
    const int64_t head = static_cast<int64_t>(sentence) * arguments.heads + within / head_size;
    Unit* to = (column < hidden ? arguments.cross_k : arguments.cross_v) +
               (head * arguments.source + first) * head_size + within % head_size;
#pragma unroll
    for (int i = 0; i < kPositions; ++i) {
      if (i < used) to[i * head_size] = units[i];
    }
  }
}

// call(unit) with the widest unit of which all of `multiples` are multiples, at least 2 bytes.
template <typename Call>
void with_unit(uintptr_t multiples, Call call) {
  if (multiples % sizeof(uint4) == 0) {
    call(uint4{});
  } else if (multiples % sizeof(uint32_t) == 0) {
    call(uint32_t{});
  } else {
    call(uint16_t{});
  }
}

}  // namespace

void split_heads(const PackedSources& sources, const HeadShape& shape, int32_t source,
                 const void* keys_values, void* cross_k, void* cross_v, DataType type, cudaStream_t stream) {
  check_head_size(shape.head_size);
  with_float_type("keys and values", type, [](auto) {});
  if (sources.sentences == 0 || sources.longest == 0) return;
  const auto head_bytes = static_cast<int32_t>(shape.head_size * size_of(type));
  const uintptr_t multiples = reinterpret_cast<uintptr_t>(keys_values) |
                              reinterpret_cast<uintptr_t>(cross_k) | reinterpret_cast<uintptr_t>(cross_v) |
                              static_cast<uintptr_t>(head_bytes);
  with_unit(multiples, [&](auto unit) {
    using Unit = decltype(unit);
    const Arguments<Unit> arguments = {sources.starts,
                                       sources.lengths,
                                       source,
                                       shape.heads,
                                       head_bytes / static_cast<int32_t>(sizeof(Unit)),
                                       static_cast<const Unit*>(keys_values),
                                       static_cast<Unit*>(cross_k),
                                       static_cast<Unit*>(cross_v)};
    const dim3 blocks(static_cast<unsigned int>((sources.longest - 1) / kPositions + 1),
                      static_cast<unsigned int>(sources.sentences));
    split_heads_kernel<<<blocks, kThreads, 0, stream>>>(arguments);
  });
  NMT_TRT_CUDA_LAUNCHED(split_heads_kernel);
}

}  // namespace nmt_trt::cuda
