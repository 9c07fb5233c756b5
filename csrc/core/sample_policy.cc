#include "core/sample_policy.h"

#include <algorithm>
#include <cmath>

namespace nmt_trt {

SamplePolicy::SamplePolicy(const SearchOptions& options)
    : beam_size_(options.beam_size), eos_(options.eos), pad_(options.pad), penalty_(options.length_penalty) {}

void SamplePolicy::start(const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  for (int32_t k = 0; k < beam_size_; ++k) moves.push_back(drawn(Slot::root(), k, top[k]));
}

void SamplePolicy::advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  for (int32_t k = 0; k < beam_size_; ++k) {
    const Slot& slot = beam.slot(k);
    moves.push_back(slot.ended ? Move{k, pad_, slot} : drawn(slot, k, top[k]));
  }
}

Move SamplePolicy::drawn(const Slot& slot, int32_t k, const Candidate& candidate) const {
  if (!std::isfinite(candidate.log_prob)) return {k, pad_, Slot{}};
  Slot next;
  next.sum = slot.sum + candidate.log_prob;
  next.ended = candidate.token == eos_;
  next.words = slot.words + (next.ended ? 0 : 1);
  next.penalty = penalty_(LengthPenalty::length_of(next.words));
  return {k, candidate.token, next, candidate.log_prob};
}

std::vector<Hypothesis> SamplePolicy::results(const Sentence& sentence, int32_t count) const {
  std::vector<Hypothesis> found;
  for (int32_t k = 0; k < std::min(count, beam_size_); ++k) found.push_back(sentence.beam.hypothesis(k));
  return found;
}

}  // namespace nmt_trt
