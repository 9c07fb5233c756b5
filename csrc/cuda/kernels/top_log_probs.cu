#include "core/top_log_probs.h"
#include "cuda/kernels/candidate_list.cuh"
#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/float_types.h"
#include "cuda/kernels/order.h"
#include "cuda/kernels/row_matters.cuh"
#include "cuda/kernels/row_partials.h"
#include "cuda/kernels/row_sums.cuh"
#include "cuda/kernels/warp.h"
#include "cuda/kernels/warp_list.cuh"
#include "cuda/search.h"
#include "cuda/token_mask.h"

namespace nmt_trt::cuda {
namespace {

// Each warp of a row makes a list (warp_list.cuh); the last block of the row to finish merges them. Blocks
// are many enough to fill the GPU with few rows, and which one is the last does not show.
constexpr int kThreads = RowSplit::kWarps * kWarpSize;

struct Arguments {
  const void* logits;
  uint32_t vocab_size;
  uint32_t excluded;  // a token, or a number that is none
  int32_t count;      // C
  RowSplit split;
  void* scratch;
  int32_t* bad_logits;
  Candidate* candidates;
  int64_t mask_size;
};

template <typename T>
__device__ const T* logits_of(const Arguments& arguments, int32_t row) {
  return static_cast<const T*>(arguments.logits) + static_cast<int64_t>(row) * arguments.vocab_size;
}

template <typename T, bool kAligned, int kSlots, bool kEdits>
__device__ WarpList<kSlots> read_list(const Arguments& arguments, const uint32_t* edited, int32_t row,
                                      int32_t list, int lane) {
  const T* logits = logits_of<T>(arguments, row);
  WarpList<kSlots> found;
  for (int32_t i = 0; i < arguments.split.tiles; ++i) {
    const uint32_t first = static_cast<uint32_t>(list * arguments.split.tiles + i) * RowSplit::kTile;
    if (first >= arguments.vocab_size) break;
    const Tile<T, kAligned, kEdits> tile = {logits, first, arguments.vocab_size, arguments.excluded, edited};
    float x[kPerLane];
    tile.load(lane, x);
    found.add(tile, x, lane, arguments.count);
  }
  return found;
}

// Another block may have written it.
__device__ RankedToken load_entry(const RankedToken* entry) {
  const uint2 loaded = __ldcg(reinterpret_cast<const uint2*>(entry));
  return {loaded.x, loaded.y};
}

// Lists of two slots are too long for shared memory.
template <int kSlots>
constexpr bool kFitsShared = kSlots == 1;

/// The lists of one row, each sorted, in the hands of one warp: lane l has lists l, l + 32, ...
template <bool kInShared>
struct Merge {
  const RankedToken* entries;  // [lists, C]
  int32_t lists;
  int32_t count;
  uint8_t taken[kListsPerLane] = {};

  // The first token of this lane's lists that has not been taken; `of` is its list's number within the lane.
  __device__ RankedToken head(int lane, int& of) const {
    RankedToken best = kNothing;
#pragma unroll
    for (int i = 0; i < kListsPerLane; ++i) {
      const int32_t list = lane + i * kWarpSize;
      if (list >= lists || taken[i] >= count) continue;
      const RankedToken* entry = entries + list * count + taken[i];
      const RankedToken token = kInShared ? *entry : load_entry(entry);
      if (!token.before(best)) continue;
      best = token;
      of = i;
    }
    return best;
  }

  __device__ RankedToken next(int lane) {
    int of = 0;
    const WarpChoice choice = first_of_warp(head(lane, of));
#pragma unroll
    for (int i = 0; i < kListsPerLane; ++i) {
      if (lane == choice.lane && i == of) ++taken[i];
    }
    return choice.token;
  }
};

// By the last block of a row. entries: with kFitsShared<kSlots> shared memory for [lists, C].
template <typename T, int kSlots, bool kEdits>
__device__ void merge_row(const SearchState& state, const int32_t* sentence_of_row,
                          const Arguments& arguments, const RowPartials& partials, int32_t row,
                          RankedToken* entries) {
  constexpr bool kInShared = kFitsShared<kSlots>;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int32_t lists = arguments.split.lists;
  const int32_t count = arguments.count;
  if constexpr (kInShared) {
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < lists * count; i += kThreads) {
      entries[i] = load_entry(partials.entries + i);
    }
    __syncthreads();
  }
  if (threadIdx.x >= kWarpSize) return;
  const PartialSum total = merge_sums(partials.sums, lists, lane);
  Merge<kInShared> merge{kInShared ? entries : partials.entries, lists, count};
  RankedToken mine[kSlots] = {};
  for (int32_t i = 0; i < count; ++i) {
    const RankedToken next = merge.next(lane);
    put(mine, i, lane, next);
    if (next.key <= kLowestKey) break;
  }
  const Normaliser normaliser = {total.max, logf(total.sum)};
  CandidateList<kSlots> best = {{}, count, lane};
#pragma unroll
  for (int j = 0; j < kSlots; ++j) {
    const bool exists = mine[j].key > kLowestKey;
    best.slots[j] = {exists ? normaliser.log_prob(value_of_key(mine[j].key)) : -INFINITY,
                     exists ? static_cast<int32_t>(mine[j].token) : 0};
  }
  if constexpr (kEdits) {
    const T* logits = logits_of<T>(arguments, row);
    put_in_edited(
        state, sentence_of_row[row / state.beam_size], row, arguments.excluded, normaliser,
        [logits](int32_t token) { return to_float(logits[token]); }, best);
  }
#pragma unroll
  for (int j = 0; j < kSlots; ++j) {
    const int32_t i = lane + j * kWarpSize;
    if (i < count) arguments.candidates[static_cast<int64_t>(row) * count + i] = best.slots[j];
  }
  if (lane == 0) {
    *partials.arrived = 0;
    if (!(total.sum > 0.0F && total.sum < INFINITY)) *arguments.bad_logits = 1;
  }
}

template <typename T, bool kAligned, int kSlots, bool kEdits>
__global__ void __launch_bounds__(kThreads)
    top_log_probs_kernel(SearchState state, const int32_t* sentence_of_row, Arguments arguments) {
  extern __shared__ RankedToken shared_entries[];
  __shared__ bool is_last;
  wait_for_earlier_kernels();
  const int32_t blocks = arguments.split.blocks();
  const int32_t count = arguments.count;
  const auto row = static_cast<int32_t>(blockIdx.x) / blocks;
  if (!row_matters(state, sentence_of_row, row / state.beam_size, row % state.beam_size)) return;

  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int32_t list = static_cast<int32_t>(blockIdx.x) % blocks * RowSplit::kWarps +
                       static_cast<int32_t>(threadIdx.x) / kWarpSize;
  const RowPartials partials = RowPartials::at(arguments.scratch, arguments.split, count, row);
  const uint32_t* edited = kEdits ? state.scores.edited + row * arguments.mask_size : nullptr;
  const auto found = read_list<T, kAligned, kSlots, kEdits>(arguments, edited, row, list, lane);
#pragma unroll
  for (int j = 0; j < kSlots; ++j) {
    const int32_t i = lane + j * kWarpSize;
    if (i < count) partials.entries[list * count + i] = found.entries[j];
  }
  if (lane == 0) partials.sums[list] = found.partial;

  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    is_last = atomicAdd(partials.arrived, 1U) + 1U == static_cast<uint32_t>(blocks);
    __threadfence();
  }
  __syncthreads();
  if (is_last) {
    merge_row<T, kSlots, kEdits>(state, sentence_of_row, arguments, partials, row, shared_entries);
  }
}

template <typename T, bool kAligned, int kSlots, bool kEdits>
void launch(const SearchState& state, const StepInputs& inputs, const Arguments& arguments,
            cudaStream_t stream) {
  const RowSplit& split = arguments.split;
  const auto rows = static_cast<unsigned int>(inputs.rows * state.beam_size);
  const size_t shared = kFitsShared<kSlots> ? static_cast<size_t>(split.lists) *
                                                  static_cast<size_t>(arguments.count) * sizeof(RankedToken)
                                            : 0;
  launch_early(top_log_probs_kernel<T, kAligned, kSlots, kEdits>,
               rows * static_cast<unsigned int>(split.blocks()), kThreads, shared, stream, state,
               inputs.sentence, arguments);
}

template <typename T, bool kAligned>
void launch_for(const SearchState& state, const StepInputs& inputs, const Arguments& arguments,
                cudaStream_t stream) {
  const bool edits = state.scores.rules != nullptr;
  if (arguments.count <= kWarpSize) {
    return edits ? launch<T, kAligned, 1, true>(state, inputs, arguments, stream)
                 : launch<T, kAligned, 1, false>(state, inputs, arguments, stream);
  }
  edits ? launch<T, kAligned, 2, true>(state, inputs, arguments, stream)
        : launch<T, kAligned, 2, false>(state, inputs, arguments, stream);
}

}  // namespace

size_t top_log_probs_scratch_bytes(int32_t rows, int32_t beam_size, int32_t candidates, int32_t vocab_size) {
  return RowPartials::bytes(RowSplit::of(vocab_size), candidates) * static_cast<size_t>(rows) *
         static_cast<size_t>(beam_size);
}

void top_log_probs(const SearchState& state, const StepInputs& inputs, const void* logits, DataType type,
                   Candidate* candidates, cudaStream_t stream) {
  if (inputs.rows == 0) return;
  const int32_t excluded = state.policy == PolicyKind::kGnmt ? state.pad : TopLogProbs::kNone;
  const Arguments arguments = {logits,
                               static_cast<uint32_t>(state.vocab_size),
                               static_cast<uint32_t>(excluded),
                               state.candidates,
                               RowSplit::of(state.vocab_size),
                               state.scratch,
                               state.bad_logits,
                               candidates,
                               TokenMask::size(state.vocab_size)};
  with_float_type("logits", type, [&](auto number) {
    using T = decltype(number);
    const bool aligned = reinterpret_cast<uintptr_t>(logits) % sizeof(uint4) == 0 &&
                         static_cast<size_t>(state.vocab_size) * sizeof(T) % sizeof(uint4) == 0;
    aligned ? launch_for<T, true>(state, inputs, arguments, stream)
            : launch_for<T, false>(state, inputs, arguments, stream);
  });
}

}  // namespace nmt_trt::cuda
