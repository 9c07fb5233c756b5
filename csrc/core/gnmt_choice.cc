#include "core/gnmt_choice.h"

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

GnmtChoice::GnmtChoice(const SearchOptions& options)
    : candidates_(options.beam_size),
      eos_(options.eos),
      pad_(options.pad),
      penalty_(options.length_penalty) {}

void GnmtChoice::propose(const Slot& slot, int32_t index, const Candidate* top,
                         std::vector<Move>& moves) const {
  if (slot.ended) {
    moves.push_back({index, pad_, slot});
    return;
  }
  for (int32_t i = 0; i < candidates_ && std::isfinite(top[i].log_prob); ++i) {
    Slot next;
    next.sum = slot.sum + top[i].log_prob;
    next.ended = top[i].token == eos_;
    next.words = slot.words + (next.ended ? 0 : 1);
    next.penalty = penalty_(LengthPenalty::length_of(next.words));
    moves.push_back({index, top[i].token, next, top[i].log_prob});
  }
}

void GnmtChoice::keep_best(size_t first, int32_t count, std::vector<Move>& moves) const {
  const size_t kept = std::min(moves.size() - first, static_cast<size_t>(count));
  const auto begin = moves.begin() + static_cast<std::ptrdiff_t>(first);
  std::partial_sort(begin, begin + static_cast<std::ptrdiff_t>(kept), moves.end(), ranks_before);
  moves.resize(first + kept);
  for (size_t slot = first + kept; slot < first + static_cast<size_t>(count); ++slot) {
    moves.push_back({static_cast<int32_t>(slot), pad_, Slot{}});
  }
}

}  // namespace nmt_trt
