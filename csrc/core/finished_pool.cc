#include "core/finished_pool.h"

#include <utility>

namespace nmt_trt {

void FinishedPool::offer(float score, float sum, const Beam& beam, int32_t parent, int32_t token) {
  if (!(score > worst())) return;
  size_t place = full() ? count_ - 1 : count_++;
  places_[place].score = score;
  places_[place].log_prob = sum;
  beam.words(parent, token, places_[place].tokens);
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
