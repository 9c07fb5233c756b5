#include <cstdint>

#include "core/draw.h"
#include "cuda/check.h"
#include "cuda/kernels/candidate_list.cuh"
#include "cuda/kernels/float_types.h"
#include "cuda/kernels/order.h"
#include "cuda/kernels/row_matters.cuh"
#include "cuda/kernels/row_scores.cuh"
#include "cuda/kernels/score_rules.h"
#include "cuda/kernels/warp.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {
namespace {

// One block a hypothesis. A warp reads consecutive tokens, so that the order of tokens is that of the warps.
// Filters look for the lowest score that stays, a few bits of it with each pass over the row: what is added
// up are integers.
constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kBitsAPass = 3;
constexpr int kBounds = (1 << kBitsAPass) - 1;  // tried at a time

struct Shared {
  float floats[kWarps];
  uint32_t keys[kWarps];
  uint64_t sums[kBounds][kWarps];
};

__device__ float block_sum(float mine, Shared& shared) {
  mine = warp_sum(mine);
  __syncthreads();
  if (threadIdx.x % kWarpSize == 0) shared.floats[threadIdx.x / kWarpSize] = mine;
  __syncthreads();
  float sum = 0.0F;
  for (const float part : shared.floats) sum += part;
  return sum;
}

__device__ uint32_t block_max(uint32_t mine, Shared& shared) {
  mine = warp_max(mine);
  __syncthreads();
  if (threadIdx.x % kWarpSize == 0) shared.keys[threadIdx.x / kWarpSize] = mine;
  __syncthreads();
  uint32_t most = 0;
  for (const uint32_t part : shared.keys) most = max(most, part);
  return most;
}

/// Sums over the block, which the threads get; those of each warp stay in shared.sums.
template <int kCount>
__device__ void block_sums(uint64_t (&mine)[kCount], Shared& shared) {
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const uint64_t sum = warp_sum(mine[i]);
    if (threadIdx.x % kWarpSize == 0) shared.sums[i][threadIdx.x / kWarpSize] = sum;
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    mine[i] = 0;
    for (const uint64_t part : shared.sums[i]) mine[i] += part;
  }
}

/// What Sampler does with one row: the same weights, but for the last bits of exp().
template <typename T>
class RowSampler {
 public:
  __device__ RowSampler(const RowScores<T>& scores, const SampleRules& rules, Shared& shared)
      : scores_(scores), rules_(rules), shared_(shared) {
    const int32_t part = (scores.vocab_size + kThreads - 1) / kThreads * kWarpSize;
    const auto thread = static_cast<int32_t>(threadIdx.x);
    lane_ = thread % kWarpSize;
    begin_ = thread / kWarpSize * part;
    end_ = min(begin_ + part, scores.vocab_size);
  }

  /// Of all logits, whatever may be drawn; its log_sum is no number where they give no distribution.
  __device__ Normaliser normaliser() {
    float most = -INFINITY;
    for (int32_t token = begin_ + lane_; token < end_; token += kWarpSize) {
      most = fmaxf(most, scores_.logit(token));
    }
    most = value_of_key(block_max(order_key(most), shared_));
    const float shift = most == -INFINITY ? 0.0F : most;
    float sum = 0.0F;
    for (int32_t token = begin_ + lane_; token < end_; token += kWarpSize) {
      sum += expf(scores_.logit(token) - shift);
    }
    sum = block_sum(sum, shared_);
    return {most, sum > 0.0F && sum < INFINITY ? logf(sum) : NAN};
  }

  /// The token, or kNoToken when every one is out. seed, draw: as drawn_place() takes them.
  __device__ int32_t operator()(const Draw& draw) {
    uint32_t most = 0;
    for_each([&](uint32_t key, float) { most = max(most, key); });
    most = block_max(most, shared_);
    if (most <= kLowestKey) return kNoToken;
    best_ = value_of_key(most);
    if (rules_.topk > 0 && rules_.topk < scores_.vocab_size) keep_topk();
    if (rules_.topp < 1) keep_topp(most);
    return token_of(draw);
  }

 private:
  template <typename Call>
  __device__ void for_each(Call call) const {
    for (int32_t token = begin_ + lane_; token < end_; token += kWarpSize) {
      const float score = score_of(token);
      call(order_key(score), score);
    }
  }

  __device__ float score_of(int32_t token) const { return scores_.at(token) / rules_.temperature; }

  __device__ uint64_t weight(float score) const {
    return static_cast<uint64_t>(expf(score - best_) * kWeightUnit);
  }

  /// The largest key with which `enough` holds of what all scores with that key or a larger one measure.
  template <typename Measure, typename Enough>
  __device__ uint32_t largest_key(Measure measure, Enough enough) {
    uint64_t low = 0;
    for (int shift = 32 - 32 % kBitsAPass; shift >= 0; shift -= kBitsAPass) {
      uint64_t sums[kBounds] = {};
      for_each([&](uint32_t key, float score) {
        if (key < low + (uint64_t{1} << shift)) return;
        const uint64_t value = measure(key, score);
#pragma unroll
        for (uint64_t i = 0; i < kBounds; ++i) {
          if (key >= low + ((i + 1) << shift)) sums[i] += value;
        }
      });
      block_sums(sums, shared_);
      uint64_t step = 0;
#pragma unroll
      for (uint64_t i = 0; i < kBounds; ++i) {
        if (enough(sums[i])) step = i + 1;
      }
      low += step << shift;
    }
    return static_cast<uint32_t>(low);
  }

  // Those that score as the last of them stay too.
  __device__ void keep_topk() {
    const auto least = static_cast<uint64_t>(rules_.topk);
    cut_ = largest_key([](uint32_t, float) { return uint64_t{1}; },
                       [least](uint64_t count) { return count >= least; });
  }

  // The lightest go that add up to no more than 1 - topp; of equal ones the higher token goes first.
  __device__ void keep_topp(uint32_t most) {
    const uint32_t least = cut_;
    const auto measure = [this, least](uint32_t key, float score) { return key < least ? 0 : weight(score); };
    uint64_t total[1] = {};
    for_each([&](uint32_t key, float score) { total[0] += measure(key, score); });
    block_sums(total, shared_);
    const double limit = (1 - rules_.topp) * static_cast<double>(total[0]);
    const auto enough = [&total, limit](uint64_t kept) {
      return static_cast<double>(total[0] - kept) <= limit;
    };
    cut_ = min(largest_key(measure, enough), most);
    uint64_t above[1] = {};
    for_each([&](uint32_t key, float score) { above[0] += key > cut_ ? weight(score) : 0; });
    block_sums(above, shared_);
    const uint64_t each = weight(value_of_key(cut_));
    int32_t fewest = 1;
    for (int32_t most_equal = scores_.vocab_size; fewest < most_equal;) {
      const int32_t middle = fewest + (most_equal - fewest) / 2;
      if (enough(min(above[0] + static_cast<uint64_t>(middle) * each, total[0]))) {
        most_equal = middle;
      } else {
        fewest = middle + 1;
      }
    }
    equal_kept_ = fewest;
  }

  // equal: those before it that score as the cut does.
  __device__ uint64_t kept_weight(uint32_t key, float score, int32_t equal) const {
    return key > cut_ || (key == cut_ && equal < equal_kept_) ? weight(score) : 0;
  }

  __device__ int32_t token_of(const Draw& draw) {
    uint64_t mine[2] = {};  // above the cut, and the number of those at it
    for_each([&](uint32_t key, float score) {
      mine[0] += key > cut_ ? weight(score) : 0;
      mine[1] += key == cut_ ? 1 : 0;
    });
    block_sums(mine, shared_);
    const uint64_t each = weight(value_of_key(cut_));
    const auto kept = [this](uint64_t equal) { return min(equal, static_cast<uint64_t>(equal_kept_)); };
    const uint64_t place = drawn_place(rules_.seed, draw, mine[0] + kept(mine[1]) * each);
    uint64_t before = 0;
    uint64_t equal = 0;
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
    for (int i = 0; i < warp; ++i) {
      before += shared_.sums[0][i] + (kept(equal + shared_.sums[1][i]) - kept(equal)) * each;
      equal += shared_.sums[1][i];
    }
    const int32_t found = find(place, before, static_cast<int32_t>(equal));
    const uint32_t token = block_max(static_cast<uint32_t>(found + 1), shared_);
    return static_cast<int32_t>(token) - 1;
  }

  // By each warp: the token of its part with which the sum of weights exceeds `place`, or kNoToken.
  __device__ int32_t find(uint64_t place, uint64_t before, int32_t equal) const {
    const uint32_t lanes_before = (1U << static_cast<uint32_t>(lane_)) - 1U;
    for (int32_t first = begin_; first < end_ && before <= place; first += kWarpSize) {
      const bool exists = first + lane_ < end_;
      const float score = exists ? score_of(first + lane_) : -INFINITY;
      const uint32_t key = order_key(score);
      const uint32_t equals = __ballot_sync(kAllLanes, exists && key == cut_);
      uint64_t sum = exists ? kept_weight(key, score, equal + __popc(equals & lanes_before)) : 0;
      for (int offset = 1; offset < kWarpSize; offset *= 2) {
        const uint64_t lower = __shfl_up_sync(kAllLanes, sum, offset);
        if (lane_ >= offset) sum += lower;
      }
      const uint32_t beyond = __ballot_sync(kAllLanes, before + sum > place);
      if (beyond != 0) return first + __ffs(static_cast<int>(beyond)) - 1;
      before += __shfl_sync(kAllLanes, sum, kWarpSize - 1);
      equal += __popc(equals);
    }
    return kNoToken;
  }

  const RowScores<T>& scores_;
  const SampleRules& rules_;
  Shared& shared_;
  int32_t lane_, begin_, end_;
  float best_ = 0.0F;
  uint32_t cut_ = 0;  // key of the lowest score that stays
  int32_t equal_kept_ = INT32_MAX;
};

/// The token that a target prefix or a forced token asks for, or kNoToken; its log-probability is that of the
/// model or 0.
__device__ Candidate wanted(const SearchState& state, int32_t sentence, int32_t steps) {
  if (state.scores.rules == nullptr) return {0.0F, kNoToken};
  const int32_t prefix = prefix_token(state.scores, sentence, steps, state.capacity);
  if (prefix != kNoToken) return {NAN, prefix};
  return {0.0F, forced_token(*state.scores.rules, steps, state.max_lengths[sentence])};
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    draw_tokens_kernel(SearchState state, const int32_t* sentence_of_row, const T* logits,
                       Candidate* candidates) {
  __shared__ Shared shared;
  const auto row = static_cast<int32_t>(blockIdx.x);
  const int32_t steps = *state.steps;
  const int32_t sample = row % state.beam_size;
  // The first step has one row of logits a sentence.
  const int32_t k = steps == 0 ? 0 : sample;
  if (!row_matters(state, sentence_of_row, row / state.beam_size, k)) return;

  const int32_t sentence = sentence_of_row[row / state.beam_size];
  const SampleRules rules = *state.samples.rules;
  const auto scores = RowScores<T>::of(state, logits, row - sample + k);
  RowSampler<T> sampler(scores, rules, shared);
  const Normaliser normaliser = sampler.normaliser();
  Candidate drawn = wanted(state, sentence, steps);
  if (isnan(normaliser.log_sum)) {
    if (threadIdx.x == 0) *state.bad_logits = 1;
  } else if (drawn.token == kNoToken) {
    drawn.token = sampler({state.samples.numbers[sentence], sample, steps});
    drawn.log_prob = drawn.token == kNoToken ? -INFINITY : normaliser.log_prob(scores.at(drawn.token));
  } else if (isnan(drawn.log_prob)) {
    drawn.log_prob = normaliser.log_prob(scores.logit(drawn.token));
  }
  if (threadIdx.x == 0) candidates[row] = drawn;
}

}  // namespace

void draw_tokens(const SearchState& state, const StepInputs& inputs, const void* logits, DataType type,
                 Candidate* candidates, cudaStream_t stream) {
  const auto rows = static_cast<unsigned int>(inputs.rows * state.beam_size);
  if (rows == 0) return;
  with_float_type("logits", type, [&](auto number) {
    using T = decltype(number);
    draw_tokens_kernel<<<rows, kThreads, 0, stream>>>(state, inputs.sentence, static_cast<const T*>(logits),
                                                      candidates);
  });
  NMT_TRT_CUDA_LAUNCHED(draw_tokens_kernel);
}

}  // namespace nmt_trt::cuda
