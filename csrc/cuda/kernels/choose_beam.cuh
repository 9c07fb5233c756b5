#pragma once

#include <cstdint>
#include <type_traits>

#include "core/options.h"
#include "cuda/kernels/beam_rules.h"
#include "cuda/kernels/warp.h"

namespace nmt_trt::cuda {

/// All that may come next in one sentence, in shared memory: the candidates of each parent. kHf: policy hf,
/// which has up to twice as many.
template <bool kHf>
struct Proposals {
  static constexpr int32_t kMost = (kHf ? 2 : 1) * kMaxBeamSize * kMaxBeamSize;
  /// A bit for each of a lane's proposals.
  using Bits = std::conditional_t<kHf, uint64_t, uint32_t>;
  static_assert(kMost / kWarpSize <= 8 * static_cast<int32_t>(sizeof(Bits)));

  BeamSlot parents[kMaxBeamSize];
  Candidate candidates[kMost];  // [parents, C]
  uint32_t keys[kMost];         // [parents, C] rank_key() of each

  /// By one warp. top: [parents, C], or [C] for all of them at the first step; old: of the lane's hypothesis.
  /// change(candidate, its number) is what the candidate becomes. Returns the number of proposals.
  template <typename Change>
  __device__ int32_t fill(const BeamRules& rules, const Candidate* top, bool first_step, const BeamSlot& old,
                          int32_t beam_size, int32_t count, Change change) {
    const int lane = static_cast<int>(threadIdx.x);
    parents[lane] = first_step ? BeamRules::root(lane) : old;
    __syncwarp();
    const int32_t all = (first_step ? rules.roots(beam_size) : beam_size) * count;
#pragma unroll 1
    for (int32_t i = lane; i < all; i += kWarpSize) {
      candidates[i] = change(top[kHf && first_step ? i % count : i], i);
      keys[i] = BeamRules::rank_key(rules.propose(parents[i / count], candidates[i], i % count));
    }
    __syncwarp();
    return all;
  }

  __device__ int32_t fill(const BeamRules& rules, const Candidate* top, bool first_step, const BeamSlot& old,
                          int32_t beam_size, int32_t count) {
    const auto as_it_is = [](const Candidate& candidate, int32_t) { return candidate; };
    return fill(rules, top, first_step, old, beam_size, count, as_it_is);
  }

  __device__ Proposal at(const BeamRules& rules, int32_t i, int32_t count) const {
    return rules.propose(parents[i / count], candidates[i], i % count);
  }
};

/// One warp's choice among all proposals, the best one first, of which lane l looks after numbers l, l + 32,
/// ...
template <bool kHf>
class Chooser {
 public:
  /// all: the number of proposals; count: of each parent.
  __device__ Chooser(const Proposals<kHf>& proposals, const BeamRules& rules, int32_t all, int32_t count)
      : proposals_(proposals), rules_(rules), all_(all), count_(count), lane_(static_cast<int>(threadIdx.x)) {
    find_head();
  }

  /// The number of the best proposal left, or -1 when there is none; the same for all lanes.
  __device__ int32_t next() {
    const uint32_t key = warp_max(head_.key);
    if (key == 0) return -1;
    bool first = head_.key == key;
    const uint32_t parent = warp_min(first ? head_.parent : UINT32_MAX);
    first = first && head_.parent == parent;
    const uint32_t tie = warp_min(first ? head_.tie : UINT32_MAX);
    first = first && head_.tie == tie;
    const int winner = __ffs(static_cast<int>(__ballot_sync(kAllLanes, first))) - 1;
    const int32_t index = __shfl_sync(kAllLanes, head_.index, winner);
    if (lane_ == winner) {
      used_ |= Bits{1} << static_cast<uint32_t>(index / kWarpSize);
      find_head();
    }
    return index;
  }

 private:
  using Bits = typename Proposals<kHf>::Bits;

  // The first of this lane's unused proposals.
  struct Head {
    uint32_t key = 0;
    uint32_t parent = 0;
    uint32_t tie = 0;
    int32_t index = 0;

    __device__ bool before(const Head& other) const {
      if (key != other.key) return key > other.key;
      if (parent != other.parent) return parent < other.parent;
      return tie < other.tie;
    }
  };

  __device__ void find_head() {
    head_ = Head{};
#pragma unroll 1
    for (int32_t index = lane_; index < all_; index += kWarpSize) {
      if ((used_ >> static_cast<uint32_t>(index / kWarpSize) & 1U) != 0) continue;
      const Head other = {proposals_.keys[index], static_cast<uint32_t>(index / count_),
                          rules_.tie_rank(proposals_.candidates[index].token, index % count_), index};
      if (other.before(head_)) head_ = other;
    }
  }

  const Proposals<kHf>& proposals_;
  const BeamRules& rules_;
  int32_t all_;
  int32_t count_;
  int lane_;
  Bits used_ = 0;
  Head head_;
};

/// What a hypothesis is at the end of a step.
struct Chosen {
  int32_t parent;
  int32_t token;
  BeamSlot slot;
  /// Move::log_prob
  float log_prob;
};

/// By one warp, for gnmt and nemo: lane k's hypothesis of the next beam; lanes from K on get a dead one.
__device__ inline Chosen choose(const BeamRules& rules, const Candidate* top, bool first_step,
                                const BeamSlot& old, int32_t beam_size, Proposals<false>& proposals) {
  const int lane = static_cast<int>(threadIdx.x);
  if (first_step && rules.policy == PolicyKind::kNemo) {
    const Proposal first = rules.first_of_nemo(top[min(lane, beam_size - 1)]);
    return {lane, first.token, first.slot, top[min(lane, beam_size - 1)].log_prob};
  }
  const int32_t all = proposals.fill(rules, top, first_step, old, beam_size, beam_size);
  Chooser<false> chooser(proposals, rules, all, beam_size);
  int32_t mine = -1;
#pragma unroll 1
  for (int32_t k = 0; k < beam_size; ++k) {
    const int32_t index = chooser.next();
    if (index < 0) break;
    if (lane == k) mine = index;
  }
  if (mine < 0) return {lane, rules.pad, BeamRules::dead(), kNoLogProb};
  const Proposal proposal = proposals.at(rules, mine, beam_size);
  const int32_t parent = mine / beam_size;
  const float log_prob = proposals.parents[parent].ended ? kNoLogProb : proposals.candidates[mine].log_prob;
  return {parent, proposal.token, rules.settle(proposal, old.penalty), log_prob};
}

}  // namespace nmt_trt::cuda
