#include <cstdint>

#include "cuda/check.h"
#include "cuda/kernels/row_matters.cuh"
#include "cuda/kernels/score_rules.h"
#include "cuda/kernels/warp.h"
#include "cuda/search.h"
#include "cuda/token_mask.h"

namespace nmt_trt::cuda {
namespace {

// One block a hypothesis.
constexpr int kThreads = 256;

__device__ void ban(uint32_t* edited, int32_t token) {
  if (token >= 0) atomicOr(edited + TokenMask::place(token), TokenMask::bit(token));
}

__device__ void write_history(const SearchState& state, int32_t sentence, int32_t k, int32_t steps,
                              int32_t* history) {
  const int64_t first = int64_t{sentence} * state.beam_size * state.capacity;
  const int32_t* tokens = state.tokens + first;
  const int32_t* ancestry = state.ancestry + first + int64_t{k} * state.capacity;
  if (threadIdx.x == 0) history[0] = state.scores.rules->bos;
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < steps; i += kThreads) {
    history[i + 1] = tokens[int64_t{i} * state.beam_size + ancestry[i]];
  }
}

__device__ void ban_tokens(const ScoreRules& rules, const TokenHistory& history, int32_t eos,
                           uint32_t* edited) {
  const auto thread = static_cast<int32_t>(threadIdx.x);
  if (thread == 0 && history.generated() < rules.min_length) ban(edited, eos);
  if (rules.no_repeat_ngram > 0) {
    for (int32_t first = thread; first < history.size; first += kThreads) {
      ban(edited, repeating_token(rules, history, first));
    }
  }
  for (int32_t word = thread; word < rules.words; word += kThreads) {
    ban(edited, completing_token(rules, history, word));
  }
}

// By the first warp: leaves of the history each token that is not banned, once, where it first came; returns
// how many. Writes stay behind reads.
__device__ int32_t list_penalised(int32_t* history, int32_t size, uint32_t* edited) {
  const int lane = static_cast<int>(threadIdx.x);
  const uint32_t lanes_before = (1U << static_cast<uint32_t>(lane)) - 1U;
  int32_t count = 0;
  for (int32_t first = 0; first < size; first += kWarpSize) {
    const bool has_token = first + lane < size;
    const int32_t token = has_token ? history[first + lane] : kNoToken;
    const uint32_t same = __match_any_sync(kAllLanes, token);
    bool fresh = has_token && (same & lanes_before) == 0;
    if (fresh) {
      const uint32_t bit = TokenMask::bit(token);
      fresh = (atomicOr(edited + TokenMask::place(token), bit) & bit) == 0;
    }
    const uint32_t all_fresh = __ballot_sync(kAllLanes, fresh);
    if (fresh) history[count + __popc(all_fresh & lanes_before)] = token;
    count += __popc(all_fresh);
    __syncwarp();
  }
  return count;
}

__global__ void __launch_bounds__(kThreads)
    find_edits_kernel(SearchState state, const int32_t* sentence_of_row, int32_t mask_size) {
  const auto row = static_cast<int32_t>(blockIdx.x);
  const int32_t k = row % state.beam_size;
  if (!row_matters(state, sentence_of_row, row / state.beam_size, k)) return;
  const int32_t sentence = sentence_of_row[row / state.beam_size];
  const int32_t steps = min(*state.steps, state.capacity);
  const ScoreRules rules = *state.scores.rules;
  if (prefix_token(state.scores, sentence, steps, state.capacity) != kNoToken ||
      forced_token(rules, steps, state.max_lengths[sentence]) != kNoToken) {
    return;
  }

  uint32_t* edited = state.scores.edited + int64_t{row} * mask_size;
  int32_t* history = state.scores.penalised + int64_t{row} * (state.capacity + 1);
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < mask_size; i += kThreads) {
    edited[i] = state.scores.banned[i];
  }
  write_history(state, sentence, k, steps, history);
  __syncthreads();
  ban_tokens(rules, {history, steps + 1}, state.eos, edited);
  __syncthreads();
  if (threadIdx.x >= kWarpSize) return;
  const int32_t count = rules.repetition_penalty == 1.0F ? 0 : list_penalised(history, steps + 1, edited);
  if (threadIdx.x == 0) state.scores.penalised_count[row] = count;
}

}  // namespace

void find_edits(const SearchState& state, const StepInputs& inputs, cudaStream_t stream) {
  const int32_t rows = inputs.rows * state.beam_size;
  if (rows == 0) return;
  const auto mask_size = static_cast<int32_t>(TokenMask::size(state.vocab_size));
  find_edits_kernel<<<static_cast<unsigned int>(rows), kThreads, 0, stream>>>(state, inputs.sentence,
                                                                              mask_size);
  NMT_TRT_CUDA_LAUNCHED(find_edits_kernel);
}

}  // namespace nmt_trt::cuda
