#pragma once

#include <cstdint>

#include "cuda/kernels/choose_beam.cuh"

namespace nmt_trt::cuda {

/// By one warp, for policy sample: lane k's hypothesis, continued with what was drawn for it; lanes from K on
/// get a dead one. drawn: [K].
__device__ inline Chosen choose_drawn(const BeamRules& rules, const Candidate* drawn, bool first_step,
                                      const BeamSlot& old, int32_t beam_size) {
  const auto lane = static_cast<int32_t>(threadIdx.x);
  const BeamSlot parent = first_step ? BeamRules::root(0) : old;
  if (lane >= beam_size) return {lane, rules.pad, BeamRules::dead(), kNoLogProb};
  if (parent.ended) return {lane, rules.pad, parent, kNoLogProb};
  const Proposal proposal = rules.propose(parent, drawn[lane], 0);
  if (!proposal.exists) return {lane, rules.pad, BeamRules::dead(), kNoLogProb};
  return {lane, proposal.token, proposal.slot, drawn[lane].log_prob};
}

}  // namespace nmt_trt::cuda
