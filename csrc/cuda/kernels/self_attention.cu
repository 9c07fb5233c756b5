#include <algorithm>
#include <cstdint>

#include "cuda/attention.h"
#include "cuda/kernels/attention_launch.cuh"
#include "cuda/kernels/attention_layout.cuh"
#include "cuda/kernels/attention_softmax.cuh"
#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/search.h"

namespace nmt_trt::cuda {
namespace {

// Hypotheses of a row that share a block, and with it the L1 cache: they have most of their ancestors in
// common.
constexpr int kHypotheses = 2;
// Of a hypothesis: the fewer, the more hypotheses an SM has under way.
constexpr int kThreads = 64;

template <typename T>
struct Arguments {
  const int32_t* steps;
  const int32_t* sentence;
  const uint8_t* finished;
  const int32_t* ancestry;
  int32_t beam_size;
  int32_t capacity;
  int32_t slots;
  int32_t step_limit;  // steps_with_room()
  int32_t head_size;
  float scale;  // of powers of 2
  const T* qkv;
  T* cache_k;
  T* cache_v;
  T* out;
};

// Where the cache has a hypothesis' keys and values, of one head.
template <typename T>
struct SelfRows {
  const int32_t* ancestry;  // [capacity]
  int32_t beam_size;
  int32_t head_size;
  const T* cache_k;  // [slots, head_size]
  const T* cache_v;  // [slots, head_size]

  __device__ int32_t find(int32_t position) const { return ancestry[max(position - 1, 0)]; }
  __device__ HeadRows<T> at(int32_t position, int32_t ancestor) const {
    const int32_t offset = cache_slot(position, ancestor, beam_size) * head_size;
    return {cache_k + offset, cache_v + offset};
  }
};

// Grid: hypotheses by the block, heads, rows. Block: kThreads for each of its hypotheses.
template <typename T, typename Layout, bool kEarly>
__global__ void __launch_bounds__(kThreads* kHypotheses) self_attention_kernel(const Arguments<T> arguments) {
  __shared__ MergeSpace<Layout, 1> space[kHypotheses];
  const int32_t beam_size = arguments.beam_size;
  const int32_t head_size = arguments.head_size;
  const auto row = static_cast<int32_t>(blockIdx.z);
  const auto head = static_cast<int32_t>(blockIdx.y);
  const auto heads = static_cast<int32_t>(gridDim.y);
  const auto numbered = static_cast<int32_t>(blockIdx.x * blockDim.y + threadIdx.y);
  // Threads past the last hypothesis repeat it without writing, for the barriers' sake.
  const int32_t k = min(numbered, beam_size - 1);
  const bool writes = numbered < beam_size;
  const int lane = static_cast<int>(threadIdx.x) % Layout::kLanes;
  const int group = static_cast<int>(threadIdx.x) / Layout::kLanes;

  let_next_kernel_begin();
  // The state of the search, and what earlier steps left in the cache, are no kernel's of this step: they can
  // be read before the queries are there. Three rounds of reads, each of which needs the one before.
  const int32_t step = *arguments.steps;
  const int32_t sentence = arguments.sentence[row];
  const bool idle = sentence < 0 || step >= arguments.step_limit || arguments.finished[max(sentence, 0)] != 0;
  const int32_t positions = idle ? 0 : step;
  const int64_t cache = (static_cast<int64_t>(row) * heads + head) * arguments.slots * head_size;
  T* cache_k = arguments.cache_k + cache;
  T* cache_v = arguments.cache_v + cache;
  const SelfRows<T> rows = {
      arguments.ancestry + (static_cast<int64_t>(max(sentence, 0)) * beam_size + k) * arguments.capacity,
      beam_size, head_size, cache_k, cache_v};
  Turns<T> turns;
  turns.template begin<Layout, kEarly>(rows, positions, head_size);

  wait_for_earlier_kernels();
  if (idle) return;
  const int64_t hidden = static_cast<int64_t>(heads) * head_size;
  const T* row_qkv = arguments.qkv + static_cast<int64_t>(row) * beam_size * 3 * hidden + head * head_size;
  const T* own = row_qkv + k * 3 * hidden;
  const HeadPart<T> query_part = load_part<Layout, true>(own, head_size, lane);
  const HeadPart<T> new_key = load_part<Layout, true>(own + hidden, head_size, lane);
  const HeadPart<T> new_value = load_part<Layout, true>(own + 2 * hidden, head_size, lane);
  start_loads();

  // The newest position goes first, not by way of the cache, which is only now being written. In the first
  // step it is the start token's, which all attend to as hypothesis 0 has it.
  const HeadPart<T> key = step == 0 ? load_part<Layout, true>(row_qkv + hidden, head_size, lane) : new_key;
  const HeadPart<T> value =
      step == 0 ? load_part<Layout, true>(row_qkv + 2 * hidden, head_size, lane) : new_value;
  float query[1][kHeadPart];
  scaled_query<Layout>(query_part, head_size, lane, arguments.scale, query[0]);
  const float newest = score<Layout>(query[0], key);

  Attended<1> attended;
  if (group == 0) {
    attended.maximum[0] = newest;
    attended.sum[0] = 1.0F;
#pragma unroll
    for (int i = 0; i < kHeadPart; ++i) attended.values[0][i] = to_float(value.values[i]);
    if (writes) {
      const int32_t offset = (step * beam_size + k) * head_size;
      store_part<Layout>(cache_k + offset, head_size, lane, new_key);
      store_part<Layout>(cache_v + offset, head_size, lane, new_value);
    }
  }
  attend<Layout, kEarly>(query, positions, head_size, rows, turns, attended);

  T* out = arguments.out + (static_cast<int64_t>(row) * beam_size + k) * hidden + head * head_size;
  merge<Layout>(attended, space[threadIdx.y], [&](int, int element, float value) {
    if (writes && element < head_size) out[element] = from_float<T>(value);
  });
}

}  // namespace

void self_attention(const SearchState& state, const StepInputs& inputs, const HeadShape& shape,
                    const void* qkv, void* cache_k, void* cache_v, void* out, DataType type,
                    cudaStream_t stream) {
  check_aligned("qkv", qkv);
  check_aligned("cache_k", cache_k);
  check_aligned("cache_v", cache_v);
  if (inputs.rows == 0) return;
  with_head_layout<kThreads>(shape, type, [&](auto number, auto layout) {
    using T = decltype(number);
    using Layout = decltype(layout);
    const Arguments<T> arguments = {state.steps,
                                    inputs.sentence,
                                    state.finished,
                                    state.ancestry,
                                    state.beam_size,
                                    state.capacity,
                                    inputs.slots,
                                    steps_with_room(inputs.slots, state.beam_size, state.capacity),
                                    shape.head_size,
                                    shape.scale * kLog2E,
                                    static_cast<const T*>(qkv),
                                    static_cast<T*>(cache_k),
                                    static_cast<T*>(cache_v),
                                    static_cast<T*>(out)};
    const int32_t together = std::min(state.beam_size, kHypotheses);
    const dim3 threads(kThreads, static_cast<unsigned int>(together));
    const dim3 blocks(static_cast<unsigned int>((state.beam_size - 1) / together + 1),
                      static_cast<unsigned int>(shape.heads), static_cast<unsigned int>(inputs.rows));
    launch_attention(self_attention_kernel<T, Layout, true>, self_attention_kernel<T, Layout, false>, blocks,
                     threads, stream, arguments);
  });
}

}  // namespace nmt_trt::cuda
