#include <cstdint>
#include <type_traits>

#include "cuda/kernels/beam_rules.h"
#include "cuda/kernels/choose_beam.cuh"
#include "cuda/kernels/choose_diverse.cuh"
#include "cuda/kernels/choose_drawn.cuh"
#include "cuda/kernels/choose_hf.cuh"
#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/warp.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {
namespace {

// One block a row. Its first warp chooses the sentence's next beam while the others read the ancestry; then
// all write the new one. The last block to finish does what concerns the whole batch.
constexpr int kThreads = 256;
constexpr int kAncestryBytes = 8192;

enum class Choice { kBest, kDiverse, kHf, kDrawn };

struct Nothing {};

template <Choice kChoice>
struct Shared {
  std::conditional_t<kChoice == Choice::kDrawn, Nothing, Proposals<kChoice == Choice::kHf>> proposals;
  std::conditional_t<kChoice == Choice::kHf, HfMoves, Nothing> moves;
  std::conditional_t<kChoice == Choice::kDiverse, GroupTokens, Nothing> groups;
  int32_t parent[kMaxBeamSize];      // of each new hypothesis
  uint8_t ancestry[kAncestryBytes];  // [K, columns] of the old beam, a part of its steps at a time
  uint32_t arrived;
};

__device__ BeamRules rules_of(const SearchState& state) {
  return {state.policy, state.eos, state.pad, state.other_length, state.penalties};
}

template <Choice kChoice>
__device__ Chosen choose_one(const SearchState& state, const Candidate* top, bool first_step,
                             const BeamSlot& old, Shared<kChoice>& shared) {
  const BeamRules rules = rules_of(state);
  if constexpr (kChoice == Choice::kDrawn) {
    return choose_drawn(rules, top, first_step, old, state.beam_size);
  } else if constexpr (kChoice == Choice::kDiverse) {
    return choose_diverse(rules, state.groups, *state.diversity_penalty, top, first_step, old,
                          state.beam_size, shared.proposals, shared.groups);
  } else {
    return choose(rules, top, first_step, old, state.beam_size, shared.proposals);
  }
}

// By the first warp: chooses the sentence's new beam; `finished`, for lane 0: whether it is the last one.
template <Choice kChoice>
__device__ Chosen choose_next(const SearchState& state, const Candidate* top, int32_t sentence, int32_t steps,
                              const BeamSlot& old, bool& finished, Shared<kChoice>& shared) {
  const bool has_slot = static_cast<int32_t>(threadIdx.x) < state.beam_size;
  const int32_t max_length = state.max_lengths[sentence];
  const Chosen chosen = choose_one(state, top, steps == 0, old, shared);
  const bool all_ended = __all_sync(kAllLanes, !has_slot || chosen.slot.ended) != 0;
  finished = all_ended || steps + 1 >= max_length;
  return chosen;
}

__device__ Chosen choose_next(const SearchState& state, const Candidate* top, int32_t sentence, int32_t steps,
                              const BeamSlot& old, bool& finished, Shared<Choice::kHf>& shared) {
  const int lane = static_cast<int>(threadIdx.x);
  const int32_t beam_size = state.beam_size;
  const PoolRules pool_rules = {*state.pool.rules, state.eos, state.max_lengths[sentence], state.penalties};
  Pool pool = {state.pool.places + int64_t{sentence} * beam_size * kMaxPatience, pool_rules.stop.places,
               steps == 0 ? 0 : state.pool.counts[sentence]};
  const Chosen chosen = choose_hf(rules_of(state), pool_rules, top, steps, old, beam_size, state.candidates,
                                  pool, shared.proposals, shared.moves);
  if (lane == 0) {
    state.pool.counts[sentence] = pool.count;
    finished = pool_rules.done(pool, chosen.slot.sum, steps + 1);
  }
  if (lane < beam_size) {
    state.pool.parents[(int64_t{sentence} * state.capacity + steps) * beam_size + lane] = chosen.parent;
  }
  return chosen;
}

// By the first warp: chooses and writes the sentence's new beam.
template <Choice kChoice>
__device__ void extend(const SearchState& state, const StepInputs& inputs, const Candidate* candidates,
                       int32_t row, int32_t sentence, int32_t steps, Shared<kChoice>& shared) {
  const int lane = static_cast<int>(threadIdx.x);
  const int32_t beam_size = state.beam_size;
  const bool has_slot = lane < beam_size;
  const int32_t index = sentence * beam_size + lane;
  BeamSlot old = BeamRules::dead();
  if (has_slot) old = {state.sum[index], state.penalty[index], state.words[index], state.ended[index] != 0};
  const Candidate* top = candidates + static_cast<int64_t>(row) * beam_size * state.candidates;
  bool finished = false;
  const Chosen chosen = choose_next(state, top, sentence, steps, old, finished, shared);
  if (has_slot) {
    state.sum[index] = chosen.slot.sum;
    state.penalty[index] = chosen.slot.penalty;
    state.words[index] = chosen.slot.words;
    state.ended[index] = chosen.slot.ended ? 1 : 0;
    const int64_t place = (static_cast<int64_t>(sentence) * state.capacity + steps) * beam_size + lane;
    state.tokens[place] = chosen.token;
    if (state.token_scores != nullptr) state.token_scores[place] = chosen.log_prob;
    state.ancestry[static_cast<int64_t>(index) * state.capacity + steps] = lane;
    inputs.token[row * beam_size + lane] = chosen.token;
    shared.parent[lane] = chosen.parent;
  }
  if (lane == 0) {
    state.own_finished[sentence] = finished ? 1 : 0;
    if (state.policy != PolicyKind::kNemo) state.finished[sentence] = finished ? 1 : 0;
  }
}

// A part of the steps, read by some threads into shared memory.
struct AncestryPart {
  int32_t first;    // step
  int32_t columns;  // steps at most; the stride of the part in shared memory

  __device__ void load(const int32_t* ancestry, const SearchState& state, int32_t steps, int thread,
                       int threads, uint8_t* to) const {
    const int32_t width = min(columns, steps - first);
#pragma unroll 4
    for (int32_t i = thread; i < state.beam_size * width; i += threads) {
      const int32_t k = i / width;
      const int32_t column = i % width;
      to[k * columns + column] =
          static_cast<uint8_t>(ancestry[static_cast<int64_t>(k) * state.capacity + first + column]);
    }
  }
};

// The next step of one sentence: its beam, and for each hypothesis its parent's ancestry.
template <Choice kChoice>
__device__ void advance(const SearchState& state, const StepInputs& inputs, const Candidate* candidates,
                        int32_t row, int32_t sentence, int32_t steps, Shared<kChoice>& shared) {
  const auto thread = static_cast<int>(threadIdx.x);
  const int32_t beam_size = state.beam_size;
  int32_t* ancestry = state.ancestry + static_cast<int64_t>(sentence) * beam_size * state.capacity;
  AncestryPart part = {0, kAncestryBytes / beam_size};
  if (thread < kWarpSize) {
    extend(state, inputs, candidates, row, sentence, steps, shared);
  } else {
    part.load(ancestry, state, steps, thread - kWarpSize, kThreads - kWarpSize, shared.ancestry);
  }
  for (;;) {
    __syncthreads();
    const int32_t width = min(part.columns, steps - part.first);
    for (int32_t i = thread; i < beam_size * width; i += kThreads) {
      const int32_t k = i / width;
      const int32_t column = i % width;
      const int32_t parent = shared.parent[k];
      if (parent == k) continue;
      ancestry[static_cast<int64_t>(k) * state.capacity + part.first + column] =
          shared.ancestry[parent * part.columns + column];
    }
    part.first += part.columns;
    if (part.first >= steps) break;
    __syncthreads();
    part.load(ancestry, state, steps, thread, kThreads, shared.ancestry);
  }
}

// True for the last block to call it; `any` is then whether any block gave true.
__device__ bool arrive_last(uint32_t* arrived, bool gave, bool& any, uint32_t& shared_arrived) {
  constexpr uint32_t kGave = 1U << 16U;  // more than there are blocks
  __syncthreads();
  if (threadIdx.x == 0) {
    const uint32_t mine = 1U + (gave ? kGave : 0U);
    __threadfence();
    shared_arrived = atomicAdd(arrived, mine) + mine;
    __threadfence();
  }
  __syncthreads();
  any = shared_arrived >= kGave;
  return shared_arrived % kGave == gridDim.x;
}

// By all threads of a block: flags that are zero, other blocks having written them.
__device__ int32_t count_zero(const uint8_t* flags, int32_t count) {
  int32_t zeros = 0;
  for (int32_t first = 0; first < count; first += kThreads) {
    const int32_t i = first + static_cast<int32_t>(threadIdx.x);
    zeros += __syncthreads_count(i < count && __ldcg(flags + i) == 0);
  }
  return zeros;
}

// By the last block, when every sentence has made its step: returns how many have not finished.
__device__ int32_t count_active(const SearchState& state) {
  const int32_t own = count_zero(state.own_finished, state.sentences);
  if (state.policy != PolicyKind::kNemo) return own;
  if (own > 0) return count_zero(state.finished, state.sentences);
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < state.sentences; i += kThreads)
    state.finished[i] = 1;
  return 0;
}

// By the last block.
__device__ void finish_step(const SearchState& state, const StepInputs& inputs, int32_t steps) {
  const int32_t active = count_active(state);
  if (threadIdx.x != 0) return;
  const int32_t next = steps + 1;
  *state.steps = next;
  *inputs.position = min(next, inputs.max_position);
  volatile SearchProgress* progress = state.progress;
  progress->active[next % kProgressKept] = active;
  __threadfence_system();
  progress->steps = next;
}

template <Choice kChoice>
__global__ void __launch_bounds__(kThreads)
    update_beams_kernel(SearchState state, StepInputs inputs, const Candidate* candidates) {
  __shared__ Shared<kChoice> shared;
  wait_for_earlier_kernels();
  const auto row = static_cast<int32_t>(blockIdx.x);
  const int32_t sentence = inputs.sentence[row];
  const int32_t steps = *state.steps;
  const bool bad = *state.bad_logits != 0;
  const bool full = steps >= state.capacity || steps >= inputs.slots / state.beam_size;
  if (bad || full) {
    if (bad && row == 0 && threadIdx.x == 0) state.progress->bad_logits = 1;
    return;
  }
  // The same for all threads: the first warp may write the flag before the others have read it.
  const bool active = __syncthreads_and(sentence >= 0 && state.finished[sentence] == 0) != 0;
  if (active) advance(state, inputs, candidates, row, sentence, steps, shared);
  bool any_active;
  if (!arrive_last(state.arrived, active, any_active, shared.arrived)) return;
  if (any_active) finish_step(state, inputs, steps);
  if (threadIdx.x == 0) *state.arrived = 0;
}

auto kernel_of(const SearchState& state) {
  if (state.policy == PolicyKind::kHf) return update_beams_kernel<Choice::kHf>;
  if (state.policy == PolicyKind::kSample) return update_beams_kernel<Choice::kDrawn>;
  if (state.groups > 1) return update_beams_kernel<Choice::kDiverse>;
  return update_beams_kernel<Choice::kBest>;
}

}  // namespace

void update_beams(const SearchState& state, const StepInputs& inputs, const Candidate* candidates,
                  cudaStream_t stream) {
  if (inputs.rows == 0) return;
  const auto kernel = kernel_of(state);
  launch_early(kernel, static_cast<unsigned int>(inputs.rows), kThreads, 0, stream, state, inputs,
               candidates);
}

}  // namespace nmt_trt::cuda
