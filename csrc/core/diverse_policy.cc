#include "core/diverse_policy.h"

#include <algorithm>
#include <cmath>

namespace nmt_trt {

DiversePolicy::DiversePolicy(const SearchOptions& options)
    : beam_size_(options.beam_size),
      group_size_(options.beam_size / options.beam_groups),
      pad_(options.pad),
      penalty_(options.diversity_penalty),
      choice_(options) {}

void DiversePolicy::start(const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  for (int32_t first = 0; first < beam_size_; first += group_size_) {
    choice_.propose(Slot::root(), first, penalised(top, moves).data(), moves);
    choice_.keep_best(static_cast<size_t>(first), group_size_, moves);
  }
}

void DiversePolicy::advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  for (int32_t first = 0; first < beam_size_; first += group_size_) {
    const std::vector<Move> chosen = moves;
    for (int32_t k = first; k < first + group_size_; ++k) {
      choice_.propose(beam.slot(k), k, penalised(top + k * beam_size_, chosen).data(), moves);
    }
    choice_.keep_best(static_cast<size_t>(first), group_size_, moves);
  }
}

std::vector<Candidate> DiversePolicy::penalised(const Candidate* top, const std::vector<Move>& chosen) const {
  std::vector<Candidate> candidates(top, top + beam_size_);
  if (!std::isfinite(candidates[1].log_prob)) return candidates;
  for (Candidate& candidate : candidates) {
    const auto times = std::count_if(chosen.begin(), chosen.end(), [&candidate](const Move& move) {
      return !std::isnan(move.log_prob) && move.token == candidate.token;
    });
    candidate.log_prob -= penalty_ * static_cast<float>(times);
  }
  return candidates;
}

}  // namespace nmt_trt
