#include <cstdint>
#include <type_traits>

#include "cuda/attention.h"
#include "cuda/kernels/attention_launch.cuh"
#include "cuda/kernels/attention_layout.cuh"
#include "cuda/kernels/attention_softmax.cuh"
#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/search.h"

namespace nmt_trt::cuda {
namespace {

// Hypotheses that use a key and a value once read.
constexpr int kHypotheses = 4;
constexpr int kThreads = 128;

template <typename T>
struct Arguments {
  const int32_t* sentence;
  const uint8_t* finished;
  const int32_t* lengths;
  int32_t beam_size;
  int32_t source;
  int32_t head_size;
  float scale;  // of powers of 2
  const T* query;
  const T* keys;
  const T* values;
  T* out;
};

// Into the L2 cache; a hint, whatever is there.
template <typename T>
__device__ void prefetch(const T* first, int32_t count) {
  constexpr int32_t kLine = 128 / sizeof(T);
  for (int32_t i = static_cast<int32_t>(threadIdx.x) * kLine; i < count; i += kThreads * kLine) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(first + i));
  }
}

// Grid: hypotheses by kQueries, heads, rows.
template <typename T, typename Layout, int kQueries, bool kEarly>
__global__ void __launch_bounds__(kThreads) cross_attention_kernel(const Arguments<T> arguments) {
  __shared__ MergeSpace<Layout, kQueries> space;
  const int32_t beam_size = arguments.beam_size;
  const int32_t head_size = arguments.head_size;
  const auto row = static_cast<int32_t>(blockIdx.z);
  const auto head = static_cast<int32_t>(blockIdx.y);
  const auto heads = static_cast<int32_t>(gridDim.y);
  const int32_t first = static_cast<int32_t>(blockIdx.x) * kQueries;
  const int lane = static_cast<int>(threadIdx.x) % Layout::kLanes;

  let_next_kernel_begin();
  // The source and the state of the search are no kernel's of this step: they can be read before the queries
  // are there.
  const int32_t sentence = arguments.sentence[row];
  const int32_t length = min(arguments.lengths[row], arguments.source);
  const bool idle = sentence < 0 || arguments.finished[max(sentence, 0)] != 0;
  const int32_t positions = idle ? 0 : length;
  const int64_t cross = (static_cast<int64_t>(row) * heads + head) * arguments.source * head_size;
  const SpacedRows<T, int32_t> rows = {arguments.keys + cross, arguments.values + cross, head_size};
  Turns<T> turns;
  turns.template begin<Layout, kEarly>(rows, positions, head_size);
  if constexpr (!kEarly) {
    prefetch(arguments.keys + cross, positions * head_size);
    prefetch(arguments.values + cross, positions * head_size);
  }

  wait_for_earlier_kernels();
  if (idle) return;
  const int64_t hidden = static_cast<int64_t>(heads) * head_size;
  const int64_t offset = (static_cast<int64_t>(row) * beam_size + first) * hidden + head * head_size;
  const int32_t used = min(kQueries, beam_size - first);
  HeadPart<T> query_parts[kQueries];
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    query_parts[q] =
        load_part<Layout, true>(arguments.query + offset + min(q, used - 1) * hidden, head_size, lane);
  }
  start_loads();
  float query[kQueries][kHeadPart];
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    scaled_query<Layout>(query_parts[q], head_size, lane, arguments.scale, query[q]);
  }
  Attended<kQueries> attended;
  attend<Layout, kEarly>(query, positions, head_size, rows, turns, attended);

  T* out = arguments.out + offset;
  merge<Layout>(attended, space, [&](int q, int element, float value) {
    if (q < used && element < head_size) out[q * hidden + element] = from_float<T>(value);
  });
}

}  // namespace

void cross_attention(const SearchState& state, const StepInputs& inputs, const HeadShape& shape,
                     int32_t source, const int32_t* lengths, const void* query, const void* cross_k,
                     const void* cross_v, void* out, DataType type, cudaStream_t stream) {
  check_aligned("query", query);
  check_aligned("cross_k", cross_k);
  check_aligned("cross_v", cross_v);
  if (inputs.rows == 0) return;
  with_head_layout<kThreads>(shape, type, [&](auto number, auto layout) {
    using T = decltype(number);
    using Layout = decltype(layout);
    const Arguments<T> arguments = {inputs.sentence,
                                    state.finished,
                                    lengths,
                                    state.beam_size,
                                    source,
                                    shape.head_size,
                                    shape.scale * kLog2E,
                                    static_cast<const T*>(query),
                                    static_cast<const T*>(cross_k),
                                    static_cast<const T*>(cross_v),
                                    static_cast<T*>(out)};
    const auto beam_size = static_cast<unsigned int>(state.beam_size);
    const auto launch = [&](auto queries) {
      constexpr int kQueries = decltype(queries)::value;
      const dim3 blocks((beam_size - 1) / kQueries + 1, static_cast<unsigned int>(shape.heads),
                        static_cast<unsigned int>(inputs.rows));
      launch_attention(cross_attention_kernel<T, Layout, kQueries, true>,
                       cross_attention_kernel<T, Layout, kQueries, false>, blocks, kThreads, stream,
                       arguments);
    };
    if (beam_size == 1) {
      launch(std::integral_constant<int, 1>{});
    } else {
      launch(std::integral_constant<int, kHypotheses>{});
    }
  });
}

}  // namespace nmt_trt::cuda
