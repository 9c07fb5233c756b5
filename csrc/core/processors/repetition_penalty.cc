#include "core/processors/repetition_penalty.h"

namespace nmt_trt {

void RepetitionPenalty::apply(const History& history, ScoreEdits& scores) const {
  for (size_t i = 0; i < history.size; ++i) {
    const int32_t token = history.tokens[i];
    const float score = scores.original(token);
    scores.set(token, score < 0 ? score * penalty_ : score / penalty_);
  }
}

}  // namespace nmt_trt
