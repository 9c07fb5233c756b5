#include "core/gnmt_policy.h"

#include <algorithm>
#include <cmath>

namespace nmt_trt {
namespace {

bool ranks_before(const Move& a, const Move& b) {
  const float score_a = a.slot.score();
  const float score_b = b.slot.score();
  if (score_a != score_b) return score_a > score_b;
  if (a.parent != b.parent) return a.parent < b.parent;
  return a.token < b.token;
}

}  // namespace

GnmtPolicy::GnmtPolicy(const SearchOptions& options)
    : beam_size_(options.beam_size), eos_(options.eos), pad_(options.pad), penalty_(options.length_penalty) {}

void GnmtPolicy::start(const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  Slot empty;
  empty.sum = 0.0F;
  propose(empty, 0, top, moves);
  keep_best(moves);
}

void GnmtPolicy::advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  for (int32_t k = 0; k < beam_size_; ++k) {
    const Slot& slot = beam.slot(k);
    if (slot.ended) {
      moves.push_back({k, pad_, slot});
    } else {
      propose(slot, k, top + k * beam_size_, moves);
    }
  }
  keep_best(moves);
}

void GnmtPolicy::propose(const Slot& parent, int32_t index, const Candidate* top,
                         std::vector<Move>& moves) const {
  for (int32_t i = 0; i < beam_size_ && std::isfinite(top[i].log_prob); ++i) {
    Slot next;
    next.sum = parent.sum + top[i].log_prob;
    next.ended = top[i].token == eos_;
    next.words = parent.words + (next.ended ? 0 : 1);
    next.penalty = penalty_(LengthPenalty::length_of(next.words));
    moves.push_back({index, top[i].token, next, top[i].log_prob});
  }
}

void GnmtPolicy::keep_best(std::vector<Move>& moves) const {
  const auto kept = std::min(moves.size(), static_cast<size_t>(beam_size_));
  std::partial_sort(moves.begin(), moves.begin() + static_cast<std::ptrdiff_t>(kept), moves.end(),
                    ranks_before);
  moves.resize(kept);
  for (auto k = static_cast<int32_t>(kept); k < beam_size_; ++k) moves.push_back({k, pad_, Slot{}});
}

}  // namespace nmt_trt
