#include "core/top_log_probs.h"

#include <algorithm>
#include <string>

#include "core/errors.h"
#include "cuda/kernels/candidate_list.cuh"
#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/device_limits.h"
#include "cuda/kernels/float_types.h"
#include "cuda/kernels/logits_tile.cuh"
#include "cuda/kernels/order.h"
#include "cuda/kernels/row_matters.cuh"
#include "cuda/kernels/row_split.h"
#include "cuda/kernels/row_sums.cuh"
#include "cuda/kernels/warp.h"
#include "cuda/search.h"
#include "cuda/token_mask.h"

namespace nmt_trt::cuda {
namespace {

// One block a row. Its warps read it once, a list after the other, and note the best token of each lane. The
// C best of those are a cut: whatever is among the C best of the row comes no later than the last of them,
// and is a logit of one of their C lanes, so that few lists are read again and few tokens put in order. How
// many warps share a row does not show.
constexpr int kMaxThreads = 1024;
constexpr int kMaxCandidates = 2 * kMaxBeamSize;

struct Arguments {
  const void* logits;
  uint32_t vocab_size;
  uint32_t excluded;  // a token, or a number that is none
  int32_t count;      // C
  RowSplit split;
  int32_t* bad_logits;
  Candidate* candidates;
  int64_t mask_size;

  // Tokens kept of a list: no two of a lane.
  __host__ __device__ int32_t kept() const { return count < kWarpSize ? count : kWarpSize; }
};

struct RowSpace {
  PartialSum sums[RowSplit::kMaxLists];
  RankedToken cut;
  Normaliser normaliser;
  int32_t found;  // tokens up to the cut
  RankedToken best[kMaxCandidates];
};

template <typename T, bool kAligned, bool kEdits>
struct Row {
  const Arguments& arguments;
  const T* logits;
  const uint32_t* edited;

  /// call(tile) for those of a list.
  template <typename Call>
  __device__ void for_tiles(int32_t list, const Call& call) const {
    arguments.split.for_tiles(list, arguments.vocab_size, [&](uint32_t first) {
      call(Tile<T, kAligned, kEdits>{logits, first, arguments.vocab_size, arguments.excluded, edited});
    });
  }

  __device__ WarpList read(int32_t list, int lane) const {
    WarpList seen;
    for_tiles(list, [&](const auto& tile) {
      float x[kPerLane];
      tile.load(lane, x);
      seen.add(tile, x, lane);
    });
    return seen;
  }

  /// Appends a list's tokens up to the cut to `tokens`, in any order.
  __device__ void collect(int32_t list, const RankedToken& cut, int lane, RankedToken* tokens,
                          int32_t& found) const {
    for_tiles(list, [&](const auto& tile) {
      float x[kPerLane];
      tile.load(lane, x);
      tile.exclude(lane, x);
      for (uint32_t up_to = tile.not_below(value_of_key(cut.key), x); up_to != 0; up_to &= up_to - 1U) {
        const uint32_t place = tile.token_of(lane, __ffs(static_cast<int>(up_to)) - 1);
        const RankedToken token = {order_key(to_float(logits[place])), place};
        if (!cut.before(token)) tokens[atomicAdd(&found, 1)] = token;
      }
    });
  }
};

/// The lists of a row, each sorted, in the hands of one warp: lane l has lists l, l + 32, ...
struct Merge {
  const RankedToken* tokens;  // [lists, kept]
  int32_t lists;
  int32_t kept;
  uint8_t taken[kListsPerLane] = {};

  // The first token of this lane's lists that has not been taken; `of` is its list's number within the lane.
  __device__ RankedToken head(int lane, int& of) const {
    RankedToken best = kNothing;
#pragma unroll
    for (int i = 0; i < kListsPerLane; ++i) {
      const int32_t list = lane + i * kWarpSize;
      if (list >= lists || taken[i] >= kept) continue;
      const RankedToken token = tokens[list * kept + taken[i]];
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

/// By one warp: the token number `count`, or one behind all that there are.
__device__ RankedToken find_cut(Merge merge, int32_t count, int lane) {
  RankedToken cut = kNothing;
  for (int32_t i = 0; i < count; ++i) {
    cut = merge.next(lane);
    if (cut.key <= kLowestKey) return {kLowestKey + 1, UINT32_MAX};
  }
  return cut;
}

/// By one warp: the row's candidates from its best tokens.
template <int kSlots, typename Row>
__device__ void write_candidates(const SearchState& state, int32_t sentence, int32_t row, const Row& source,
                                 const RowSpace& space, int lane) {
  const Arguments& arguments = source.arguments;
  const Normaliser& normaliser = space.normaliser;
  CandidateList<kSlots> best = {{}, arguments.count, lane};
#pragma unroll
  for (int j = 0; j < kSlots; ++j) {
    const RankedToken& token = space.best[lane + j * kWarpSize];
    const bool exists = token.key > kLowestKey;
    best.slots[j] = {exists ? normaliser.log_prob(value_of_key(token.key)) : -INFINITY,
                     exists ? static_cast<int32_t>(token.token) : 0};
  }
  if (source.edited != nullptr) {
    const auto logit = [&source](int32_t token) { return to_float(source.logits[token]); };
    put_in_edited(state, sentence, row, arguments.excluded, normaliser, logit, best);
  }
#pragma unroll
  for (int j = 0; j < kSlots; ++j) {
    const int32_t i = lane + j * kWarpSize;
    if (i < arguments.count) {
      arguments.candidates[static_cast<int64_t>(row) * arguments.count + i] = best.slots[j];
    }
  }
}

// Grid: rows. Dynamic shared memory: token_space().
template <typename T, bool kAligned, int kSlots, bool kEdits>
__global__ void __launch_bounds__(kMaxThreads)
    top_log_probs_kernel(const SearchState state, const int32_t* sentence_of_row, const Arguments arguments) {
  extern __shared__ RankedToken tokens[];  // the lists' first, then those up to the cut
  __shared__ RowSpace space;
  let_next_kernel_begin();
  const auto thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kWarpSize;
  const int warp = thread / kWarpSize;
  const int warps = static_cast<int>(blockDim.x) / kWarpSize;
  const auto row = static_cast<int32_t>(blockIdx.x);
  const int32_t lists = arguments.split.lists;
  const int32_t kept = arguments.kept();
  const bool matters = row_matters(state, sentence_of_row, row / state.beam_size, row % state.beam_size);
  if (thread == 0) space.found = 0;
  if (thread < kMaxCandidates) space.best[thread] = kNothing;
  wait_for_earlier_kernels();
  if (!matters) return;

  const Row<T, kAligned, kEdits> source = {
      arguments, static_cast<const T*>(arguments.logits) + static_cast<int64_t>(row) * arguments.vocab_size,
      kEdits ? state.scores.edited + row * arguments.mask_size : nullptr};
  for (int32_t list = warp; list < lists; list += warps) {
    const WarpList seen = source.read(list, lane);
    const RankedToken mine = seen.sorted(lane, kept);
    if (lane < kept) tokens[list * kept + lane] = mine;
    if (lane == 0) space.sums[list] = seen.partial;
  }
  __syncthreads();

  if (warp == 0) {
    const RankedToken cut = find_cut({tokens, lists, kept}, arguments.count, lane);
    if (lane == 0) space.cut = cut;
  } else if (warp == 1) {
    const PartialSum total = merge_sums(lists, lane, [&](int32_t list) { return space.sums[list]; });
    if (lane == 0) {
      space.normaliser = {total.max, logf(total.sum)};
      if (!(total.sum > 0.0F && total.sum < INFINITY)) *arguments.bad_logits = 1;
    }
  }
  __syncthreads();
  const RankedToken cut = space.cut;
  uint32_t wanted = 0;  // a bit for each of this warp's lists
  for (int32_t i = 0; warp + i * warps < lists; ++i) {
    if (!cut.before(tokens[(warp + i * warps) * kept])) wanted |= 1U << static_cast<uint32_t>(i);
  }
  __syncthreads();
  for (; wanted != 0; wanted &= wanted - 1U) {
    const int32_t list = warp + (__ffs(static_cast<int>(wanted)) - 1) * warps;
    source.collect(list, cut, lane, tokens, space.found);
  }
  __syncthreads();
  for (int32_t i = thread; i < space.found; i += static_cast<int32_t>(blockDim.x)) {
    const RankedToken token = tokens[i];
    int32_t rank = 0;
    for (int32_t j = 0; j < space.found; ++j) rank += tokens[j].before(token) ? 1 : 0;
    if (rank < arguments.count) space.best[rank] = token;
  }
  __syncthreads();
  if (warp > 0) return;
  write_candidates<kSlots>(state, sentence_of_row[row / state.beam_size], row, source, space, lane);
}

/// Bytes for the tokens of all lists, or for those up to the cut.
size_t token_space(const Arguments& arguments) {
  const int32_t of_lists = arguments.split.lists * arguments.kept();
  const int32_t of_lanes = arguments.count * kPerLane * arguments.split.tiles;
  return static_cast<size_t>(std::max(of_lists, of_lanes)) * sizeof(RankedToken);
}

/// Warps of a block: as many as there are lists while there is an SM for each row, otherwise so few that an
/// SM has several rows under way.
int32_t warps_of(int32_t rows, const RowSplit& split) {
  constexpr int32_t kOfManyRows = 8;
  const bool few = rows <= processors();
  return std::min(split.lists, few ? kMaxThreads / kWarpSize : kOfManyRows);
}

template <typename T, bool kAligned, int kSlots, bool kEdits>
void launch(const SearchState& state, const StepInputs& inputs, const Arguments& arguments,
            cudaStream_t stream) {
  const auto kernel = top_log_probs_kernel<T, kAligned, kSlots, kEdits>;
  const int32_t rows = inputs.rows * state.beam_size;
  const int32_t threads = warps_of(rows, arguments.split) * kWarpSize;
  const size_t shared = token_space(arguments);
  if (!has_shared(shared + sizeof(RowSpace))) {
    throw UsageError("the vocabulary for so many candidates", "one that shared memory is enough for",
                     std::to_string(arguments.vocab_size) + " tokens");
  }
  allow_shared(kernel, shared);
  launch_early(kernel, static_cast<unsigned int>(rows), static_cast<unsigned int>(threads), shared, stream,
               state, inputs.sentence, arguments);
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

void top_log_probs(const SearchState& state, const StepInputs& inputs, const void* logits, DataType type,
                   Candidate* candidates, cudaStream_t stream) {
  if (inputs.rows == 0) return;
  const int32_t excluded = state.policy == PolicyKind::kGnmt ? state.pad : TopLogProbs::kNone;
  const Arguments arguments = {
      logits,           static_cast<uint32_t>(state.vocab_size), static_cast<uint32_t>(excluded),
      state.candidates, RowSplit::of(state.vocab_size),          state.bad_logits,
      candidates,       TokenMask::size(state.vocab_size)};
  with_float_type("logits", type, [&](auto number) {
    using T = decltype(number);
    const bool aligned = reinterpret_cast<uintptr_t>(logits) % sizeof(uint4) == 0 &&
                         static_cast<size_t>(state.vocab_size) * sizeof(T) % sizeof(uint4) == 0;
    aligned ? launch_for<T, true>(state, inputs, arguments, stream)
            : launch_for<T, false>(state, inputs, arguments, stream);
  });
}

}  // namespace nmt_trt::cuda
