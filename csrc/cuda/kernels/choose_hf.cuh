#pragma once

#include <cstdint>

#include "cuda/kernels/choose_beam.cuh"
#include "cuda/kernels/order.h"
#include "cuda/kernels/pool_rules.h"
#include "cuda/kernels/warp.h"

namespace nmt_trt::cuda {

/// The best proposals of one sentence under policy hf, in shared memory.
struct HfMoves {
  static constexpr int32_t kMost = 2 * kMaxBeamSize;

  int32_t parent[kMost];
  int32_t token[kMost];
  float sum[kMost];
  float log_prob[kMost];
  bool ends[kMost];
  uint8_t next[kMaxBeamSize];  // the move that makes each slot

  /// Order of HfPolicy's ranks_before().
  __device__ bool before(int32_t a, int32_t b) const {
    const uint32_t key_a = order_key(sum[a]);
    const uint32_t key_b = order_key(sum[b]);
    if (key_a != key_b) return key_a > key_b;
    return parent[a] != parent[b] ? parent[a] < parent[b] : token[a] < token[b];
  }
};

/// By one warp, for policy hf: takes what ends into the pool and returns lane k's hypothesis of the next
/// beam; lanes from K on get a dead one. steps: tokens before this one; count: C.
__device__ inline Chosen choose_hf(const BeamRules& rules, const PoolRules& pool_rules, const Candidate* top,
                                   int32_t steps, const BeamSlot& old, int32_t beam_size, int32_t count,
                                   Pool& pool, Proposals<true>& proposals, HfMoves& moves) {
  const int lane = static_cast<int>(threadIdx.x);
  const int32_t all = proposals.fill(rules, top, steps == 0, old, beam_size, count);
  Chooser<true> chooser(proposals, rules, all, count);
  int32_t made = 0;
  for (; made < count; ++made) {
    const int32_t index = chooser.next();
    if (index < 0) break;
    if (lane != made % kWarpSize) continue;
    const Proposal proposal = proposals.at(rules, index, count);
    moves.parent[made] = index / count;
    moves.token[made] = proposal.token;
    moves.sum[made] = proposal.slot.sum;
    moves.log_prob[made] = proposals.candidates[index].log_prob;
    moves.ends[made] = pool_rules.ends(proposal.token, steps + 1);
  }
  __syncwarp();
  if (lane == 0) {
    for (int32_t i = 0; i < min(made, beam_size); ++i) {
      if (!moves.ends[i]) continue;
      const float score = pool_rules.score(moves.sum[i], steps + 1);
      pool.offer({score, moves.sum[i], steps, moves.parent[i], moves.token[i], moves.log_prob[i]});
    }
  }
  __syncwarp();
  for (int32_t i = lane; i < made; i += kWarpSize) {
    if (moves.ends[i]) moves.sum[i] += FinishedPool::kAway;
  }
  __syncwarp();
  for (int32_t i = lane; i < made; i += kWarpSize) {
    int32_t rank = 0;
    for (int32_t j = 0; j < made; ++j) rank += moves.before(j, i) ? 1 : 0;
    if (rank < beam_size) moves.next[rank] = static_cast<uint8_t>(i);
  }
  __syncwarp();
  if (lane >= min(made, beam_size)) return {0, rules.pad, BeamRules::dead(), kNoLogProb};
  const int32_t mine = moves.next[lane];
  return {moves.parent[mine], moves.token[mine], {moves.sum[mine], 1.0F, 0, false}, moves.log_prob[mine]};
}

}  // namespace nmt_trt::cuda
