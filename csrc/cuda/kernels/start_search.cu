#include <algorithm>
#include <cstdint>

#include "cuda/check.h"
#include "cuda/kernels/beam_rules.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {
namespace {

constexpr int kThreads = 256;

__device__ void start_sentence(const SearchState& state, int32_t sentence) {
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t beam_size = state.beam_size;
  const int64_t first = static_cast<int64_t>(sentence) * beam_size;
  if (thread < beam_size) {
    const BeamSlot slot = BeamRules::dead();
    state.sum[first + thread] = slot.sum;
    state.penalty[first + thread] = slot.penalty;
    state.words[first + thread] = slot.words;
    state.ended[first + thread] = slot.ended ? 1 : 0;
  }
  if (thread == 0) {
    const uint8_t finished = state.max_lengths[sentence] <= 0 ? 1 : 0;
    state.finished[sentence] = finished;
    state.own_finished[sentence] = finished;
  }
  int32_t* tokens = state.tokens + first * state.capacity;
  int32_t* ancestry = state.ancestry + first * state.capacity;
  for (int32_t i = thread; i < beam_size * state.capacity; i += kThreads) {
    tokens[i] = state.pad;
    ancestry[i] = i / state.capacity;
  }
  if (state.token_scores == nullptr) return;
  float* scores = state.token_scores + first * state.capacity;
  for (int32_t i = thread; i < beam_size * state.capacity; i += kThreads) scores[i] = kNoLogProb;
}

// By one block.
__device__ void start_batch(const SearchState& state, const StepInputs& inputs) {
  int32_t active = 0;
  for (int32_t first = 0; first < state.sentences; first += kThreads) {
    const int32_t sentence = first + static_cast<int32_t>(threadIdx.x);
    active += __syncthreads_count(sentence < state.sentences && state.max_lengths[sentence] > 0);
  }
  if (threadIdx.x != 0) return;
  *inputs.position = 0;
  *state.steps = 0;
  *state.bad_logits = 0;
  *state.arrived = 0;
  *state.progress = {};
  state.progress->updates[0].active = active;
}

__global__ void __launch_bounds__(kThreads)
    start_search_kernel(SearchState state, StepInputs inputs, int32_t bos) {
  const auto block = static_cast<int32_t>(blockIdx.x);
  const auto thread = static_cast<int32_t>(threadIdx.x);
  if (block < state.sentences) start_sentence(state, block);
  if (block < inputs.rows && thread < state.beam_size) inputs.token[block * state.beam_size + thread] = bos;
  if (block == 0) start_batch(state, inputs);
}

}  // namespace

void start_search(const SearchState& state, const StepInputs& inputs, int32_t bos, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned int>(std::max({state.sentences, inputs.rows, 1}));
  start_search_kernel<<<blocks, kThreads, 0, stream>>>(state, inputs, bos);
  NMT_TRT_CUDA_LAUNCHED(start_search_kernel);
}

}  // namespace nmt_trt::cuda
