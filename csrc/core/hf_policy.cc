#include "core/hf_policy.h"

#include <algorithm>
#include <cmath>

namespace nmt_trt {
namespace {

bool ranks_before(const Move& a, const Move& b) {
  if (a.slot.sum != b.slot.sum) return a.slot.sum > b.slot.sum;
  if (a.parent != b.parent) return a.parent < b.parent;
  return a.token < b.token;
}

}  // namespace

HfPolicy::HfPolicy(const SearchOptions& options)
    : beam_size_(options.beam_size),
      pool_size_(pool_places(options)),
      candidates_(beam_size_ == 1 ? 1 : 2 * beam_size_),
      eos_(options.eos),
      pad_(options.pad),
      length_penalty_(options.length_penalty),
      early_stopping_(beam_size_ == 1 ? EarlyStopping::kYes : options.early_stopping) {}

void HfPolicy::start(const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  for (int32_t k = 0; k < beam_size_; ++k) propose(k == 0 ? 0.0F : FinishedPool::kAway, k, top, moves);
  keep_best(moves);
}

void HfPolicy::advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  for (int32_t k = 0; k < beam_size_; ++k) {
    if (!beam.slot(k).dead()) propose(beam.slot(k).sum, k, top + k * candidates_, moves);
  }
  keep_best(moves);
}

void HfPolicy::propose(float sum, int32_t parent, const Candidate* top, std::vector<Move>& moves) const {
  for (int32_t i = 0; i < candidates_ && std::isfinite(top[i].log_prob); ++i) {
    Slot next;
    next.sum = sum + top[i].log_prob;
    next.ended = false;
    moves.push_back({parent, top[i].token, next, top[i].log_prob});
  }
}

void HfPolicy::keep_best(std::vector<Move>& moves) const {
  const auto kept = std::min(moves.size(), static_cast<size_t>(candidates_));
  std::partial_sort(moves.begin(), moves.begin() + static_cast<std::ptrdiff_t>(kept), moves.end(),
                    ranks_before);
  moves.resize(kept);
}

void HfPolicy::settle(Sentence& sentence, std::vector<Move>& moves) const {
  const int32_t length = sentence.beam.steps() + 1;
  const bool at_limit = length >= sentence.max_length;
  for (size_t i = 0; i < moves.size(); ++i) {
    Move& move = moves[i];
    if (move.token != eos_ && !at_limit) continue;
    if (i < static_cast<size_t>(beam_size_)) {
      sentence.pool.offer(score(move.slot.sum, length), move, sentence.beam);
    }
    move.slot.sum += FinishedPool::kAway;
  }
  std::sort(moves.begin(), moves.end(), ranks_before);
  moves.resize(static_cast<size_t>(beam_size_), Move{0, pad_, Slot{}});
}

bool HfPolicy::finished(const Sentence& sentence) const {
  const int32_t length = sentence.beam.steps();
  if (length >= sentence.max_length) return true;
  if (early_stopping_ == EarlyStopping::kYes && sentence.pool.full()) return true;
  const bool hopes = early_stopping_ == EarlyStopping::kNever && length_penalty_ > 0;
  const float best = score(sentence.beam.slot(0).sum, hopes ? sentence.max_length : length);
  return !(best > sentence.pool.worst());
}

std::vector<Hypothesis> HfPolicy::results(const Sentence& sentence, int32_t count) const {
  auto found = sentence.pool.best(count);
  return found.empty() ? sentence.beam.best(count) : found;
}

// The power in double precision, as Python computes it.
float HfPolicy::score(float sum, int32_t length) const {
  return sum /
         static_cast<float>(std::pow(static_cast<double>(length), static_cast<double>(length_penalty_)));
}

}  // namespace nmt_trt
