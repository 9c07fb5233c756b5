#include "core/finished_pool.h"

#include <utility>

namespace nmt_trt {

void FinishedPool::offer(float score, const Move& move, const Beam& beam) {
  if (!(score > worst())) return;
  size_t place = full() ? count_ - 1 : count_++;
  Hypothesis& taken = places_[place];
  taken.score = score;
  taken.log_prob = move.slot.sum;
  beam.words(move.parent, move.token, taken.tokens);
  if (beam.keeps_scores()) {
    taken.token_scores.clear();
    beam.append_scores(move.parent, taken.token_scores);
    taken.token_scores.push_back(move.log_prob);
  }
  if (beam.attention().kept()) {
    AttentionPath attention = beam.attention_path(move.parent);
    attention.add(static_cast<size_t>(beam.steps()), move.parent, move.token);
    taken.attention = attention.rows();
  }
  for (; place > 0 && places_[place - 1].score < score; --place) {
    std::swap(places_[place - 1], places_[place]);
  }
}

std::vector<Hypothesis> FinishedPool::best(int32_t count) const {
  std::vector<Hypothesis> found;
  for (size_t i = 0; i < count_ && static_cast<int32_t>(found.size()) < count; ++i) {
    if (places_[i].log_prob > kAway / 2) found.push_back(places_[i]);
  }
  return found;
}

}  // namespace nmt_trt
