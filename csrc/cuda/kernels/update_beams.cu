#include <cstdint>
#include <cstring>
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
constexpr int kWarps = kThreads / kWarpSize;
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

// A lane's hypothesis of the beam so far.
__device__ BeamSlot load_slot(const SearchState& state, int32_t sentence) {
  const auto lane = static_cast<int32_t>(threadIdx.x);
  if (lane >= state.beam_size) return BeamRules::dead();
  const int32_t index = sentence * state.beam_size + lane;
  return {state.sum[index], state.penalty[index], state.words[index], state.ended[index] != 0};
}

// By the first warp: chooses and writes the sentence's new beam.
template <Choice kChoice>
__device__ void extend(const SearchState& state, const StepInputs& inputs, const Candidate* candidates,
                       int32_t row, int32_t sentence, int32_t steps, const BeamSlot& old,
                       Shared<kChoice>& shared) {
  const int lane = static_cast<int>(threadIdx.x);
  const int32_t beam_size = state.beam_size;
  const bool has_slot = lane < beam_size;
  const int32_t index = sentence * beam_size + lane;
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

// A part of the steps, read by some warps into shared memory.
struct AncestryPart {
  int32_t first;    // step
  int32_t columns;  // steps at most; the stride of the part in shared memory

  __device__ void load(const int32_t* ancestry, const SearchState& state, int32_t steps, int warp, int warps,
                       uint8_t* to) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    const int32_t width = min(columns, steps - first);
    for (int32_t k = warp; k < state.beam_size; k += warps) {
      const int32_t* from = ancestry + static_cast<int64_t>(k) * state.capacity + first;
#pragma unroll 4
      for (int32_t i = lane; i < width; i += kWarpSize) to[k * columns + i] = static_cast<uint8_t>(from[i]);
    }
  }
  /// Of each hypothesis whose parent is another one, from there.
  __device__ void store(int32_t* ancestry, const SearchState& state, int32_t steps, const int32_t* parents,
                        const uint8_t* from) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    const int32_t width = min(columns, steps - first);
    for (int32_t k = static_cast<int32_t>(threadIdx.x) / kWarpSize; k < state.beam_size; k += kWarps) {
      const int32_t parent = parents[k];
      if (parent == k) continue;
      int32_t* to = ancestry + static_cast<int64_t>(k) * state.capacity + first;
#pragma unroll 4
      for (int32_t i = lane; i < width; i += kWarpSize) to[i] = from[parent * columns + i];
    }
  }
};

// The next step of one sentence, in two parts: what is read of the steps so far, and behind the candidates
// the new beam, and for each hypothesis its parent's ancestry.
template <Choice kChoice>
class Advance {
 public:
  __device__ Advance(const SearchState& state, int32_t sentence, int32_t steps, Shared<kChoice>& shared)
      : state_(state),
        shared_(shared),
        sentence_(sentence),
        steps_(steps),
        ancestry_(state.ancestry + int64_t{sentence} * state.beam_size * state.capacity),
        part_{0, kAncestryBytes / state.beam_size} {
    if (threadIdx.x < kWarpSize) {
      old_ = load_slot(state, sentence);
    } else {
      part_.load(ancestry_, state, steps, static_cast<int>(threadIdx.x) / kWarpSize - 1, kWarps - 1,
                 shared.ancestry);
    }
  }

  __device__ void operator()(const StepInputs& inputs, const Candidate* candidates, int32_t row) {
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
    if (warp == 0) extend(state_, inputs, candidates, row, sentence_, steps_, old_, shared_);
    for (;;) {
      __syncthreads();
      part_.store(ancestry_, state_, steps_, shared_.parent, shared_.ancestry);
      part_.first += part_.columns;
      if (part_.first >= steps_) break;
      __syncthreads();
      part_.load(ancestry_, state_, steps_, warp, kWarps, shared_.ancestry);
    }
  }

 private:
  const SearchState& state_;
  Shared<kChoice>& shared_;
  int32_t sentence_, steps_;
  int32_t* ancestry_;
  AncestryPart part_;
  BeamSlot old_ = BeamRules::dead();
};

// True for the last block to call it, behind what the others wrote; `any` is then whether any block gave
// true.
__device__ bool arrive_last(uint32_t* arrived, bool gave, bool& any, uint32_t& shared_arrived) {
  constexpr uint32_t kGave = 1U << 16U;  // more than there are blocks
  __syncthreads();
  if (gridDim.x == 1) {
    any = gave;
    return true;
  }
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

// By the last block, when every sentence has made its step: returns how many have not finished.
__device__ int32_t count_active(const SearchState& state) {
  int32_t own = 0;
  int32_t all = 0;
  for (int32_t first = 0; first < state.sentences; first += kThreads) {
    const int32_t i = first + static_cast<int32_t>(threadIdx.x);
    const bool exists = i < state.sentences;
    const bool own_active = exists && __ldcg(state.own_finished + i) == 0;
    const bool active = exists && __ldcg(state.finished + i) == 0;
    own += __syncthreads_count(own_active);
    all += __syncthreads_count(active);
  }
  if (state.policy != PolicyKind::kNemo) return own;
  if (own > 0) return all;
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
  const SearchProgress::Update update = {next, active};
  uint64_t bits;
  memcpy(&bits, &update, sizeof(bits));
  *reinterpret_cast<volatile uint64_t*>(&state.progress->updates[next % kProgressKept]) = bits;
}

// Ends before any kernel of the next step begins: see dependent_launch.cuh.
template <Choice kChoice>
__global__ void __launch_bounds__(kThreads)
    update_beams_kernel(SearchState state, StepInputs inputs, const Candidate* candidates) {
  __shared__ Shared<kChoice> shared;
  const auto row = static_cast<int32_t>(blockIdx.x);
  const int32_t sentence = inputs.sentence[row];
  const int32_t steps = *state.steps;
  const bool full = steps >= state.capacity || steps >= inputs.slots / state.beam_size;
  // The same for all threads: the first warp may write the flag before the others have read it.
  const bool active = __syncthreads_and(!full && sentence >= 0 && state.finished[sentence] == 0) != 0;
  Advance<kChoice> advance(state, active ? sentence : 0, active ? steps : 0, shared);
  wait_for_earlier_kernels();
  const bool bad = __ldcg(state.bad_logits) != 0;
  if (bad || full) {
    if (bad && row == 0 && threadIdx.x == 0) state.progress->bad_logits = 1;
    return;
  }
  if (active) advance(inputs, candidates, row);
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
