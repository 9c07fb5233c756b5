#pragma once

#include <cstdint>
#include <limits>

#include "core/finished_pool.h"
#include "core/options.h"
#include "core/top_log_probs.h"
#include "cuda/kernels/order.h"

namespace nmt_trt::cuda {

/// GnmtPolicy, NemoPolicy and HfPolicy up to settle(), one candidate at a time: the same fp32 operations in
/// the same order. Plain functions, so that the host tests them against the policies.

/// Of what is carried on without a token.
inline constexpr float kNoLogProb = std::numeric_limits<float>::quiet_NaN();

/// nmt_trt::Slot
struct BeamSlot {
  float sum;
  float penalty;
  int32_t words;
  bool ended;
};

/// What a hypothesis becomes with one of its candidates.
struct Proposal {
  bool exists;
  int32_t token;
  BeamSlot slot;

  NMT_TRT_HOST_DEVICE float score() const { return slot.sum / slot.penalty; }
};

struct BeamRules {
  PolicyKind policy;
  int32_t eos, pad;
  int32_t other_length;    // see SearchState
  const float* penalties;  // by length

  NMT_TRT_HOST_DEVICE bool is_word(int32_t token) const { return token != eos && token != pad; }

  /// The empty hypotheses that the first beam of gnmt and hf continues, all with the same candidates.
  NMT_TRT_HOST_DEVICE int32_t roots(int32_t beam_size) const {
    return policy == PolicyKind::kHf ? beam_size : 1;
  }
  NMT_TRT_HOST_DEVICE static BeamSlot root(int32_t k) {
    return {k == 0 ? 0.0F : FinishedPool::kAway, 1.0F, 0, false};
  }
  NMT_TRT_HOST_DEVICE static BeamSlot dead() { return {minus_infinity(), 1.0F, 0, true}; }

  /// The first beam of nemo: slot k takes the k-th candidate, whatever it is.
  NMT_TRT_HOST_DEVICE Proposal first_of_nemo(const Candidate& candidate) const {
    constexpr int32_t kFirstLength = 3;
    return {true,
            candidate.token,
            {candidate.log_prob, penalties[kFirstLength], is_word(candidate.token) ? 1 : 0, false}};
  }

  /// The i-th candidate of `parent`; undefined candidates are not looked at.
  NMT_TRT_HOST_DEVICE Proposal propose(const BeamSlot& parent, const Candidate& candidate, int32_t i) const {
    if (policy == PolicyKind::kNemo) return propose_nemo(parent, candidate, i);
    if (policy == PolicyKind::kHf) return propose_hf(parent, candidate);
    return propose_gnmt(parent, candidate, i);
  }

  /// Proposals with a larger key come first, those that do not exist have 0. Equal keys: the lower parent
  /// first, then the lower tie_rank().
  NMT_TRT_HOST_DEVICE static uint32_t rank_key(const Proposal& proposal) {
    return proposal.exists ? order_key(proposal.score()) : 0;
  }
  NMT_TRT_HOST_DEVICE uint32_t tie_rank(int32_t token, int32_t i) const {
    return static_cast<uint32_t>(policy == PolicyKind::kNemo ? i : token);
  }

  /// What a chosen proposal becomes in a slot whose last hypothesis had `old_penalty`.
  NMT_TRT_HOST_DEVICE BeamSlot settle(const Proposal& proposal, float old_penalty) const {
    BeamSlot slot = proposal.slot;
    if (policy == PolicyKind::kNemo) {
      slot.sum = proposal.score() * old_penalty;
      slot.penalty = penalties[slot.words + other_length];
    }
    return slot;
  }

 private:
  NMT_TRT_HOST_DEVICE static float minus_infinity() { return value_of_key(kLowestKey); }

  NMT_TRT_HOST_DEVICE Proposal propose_gnmt(const BeamSlot& parent, const Candidate& candidate,
                                            int32_t i) const {
    if (parent.ended) return {i == 0, pad, parent};
    if (!(candidate.log_prob > minus_infinity())) return {false, pad, dead()};
    constexpr int32_t kOtherLength = 2;  // LengthPenalty::length_of
    BeamSlot next;
    next.sum = parent.sum + candidate.log_prob;
    next.ended = candidate.token == eos;
    next.words = parent.words + (next.ended ? 0 : 1);
    next.penalty = penalties[next.words + kOtherLength];
    return {true, candidate.token, next};
  }

  NMT_TRT_HOST_DEVICE Proposal propose_hf(const BeamSlot& parent, const Candidate& candidate) const {
    if (!(parent.sum > minus_infinity() && candidate.log_prob > minus_infinity())) {
      return {false, pad, dead()};
    }
    return {true, candidate.token, {parent.sum + candidate.log_prob, 1.0F, 0, false}};
  }

  NMT_TRT_HOST_DEVICE Proposal propose_nemo(const BeamSlot& parent, const Candidate& candidate,
                                            int32_t i) const {
    constexpr float kEndedFactor = 10001.0F;  // as in nemo_policy.cc
    const float factor = !parent.ended ? 1.0F : (i == 0 ? 0.0F : kEndedFactor);
    const int32_t token = parent.ended ? pad : candidate.token;
    BeamSlot next;
    next.sum = parent.sum + candidate.log_prob * factor;
    next.penalty = parent.penalty;
    next.words = parent.words + (is_word(token) ? 1 : 0);
    next.ended = !is_word(token);
    return {true, token, next};
  }
};

}  // namespace nmt_trt::cuda
