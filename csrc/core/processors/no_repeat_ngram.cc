#include "core/processors/no_repeat_ngram.h"

namespace nmt_trt {

void NoRepeatNgram::apply(const History& history, ScoreEdits& scores) const {
  for (size_t first = 0; first + size_ <= history.size; ++first) {
    const int32_t* ngram = history.tokens + first;
    if (history.ends_with(ngram, size_ - 1)) scores.ban(ngram[size_ - 1]);
  }
}

}  // namespace nmt_trt
