#include "core/processors/bad_words.h"

#include <algorithm>
#include <utility>

namespace nmt_trt {

BadWords::BadWords(std::vector<std::vector<int32_t>> words, int32_t eos) : words_(std::move(words)) {
  words_.erase(std::remove(words_.begin(), words_.end(), std::vector<int32_t>{eos}), words_.end());
}

void BadWords::apply(const History& history, ScoreEdits& scores) const {
  for (const auto& word : words_) {
    if (history.ends_with(word.data(), word.size() - 1)) scores.ban(word.back());
  }
}

}  // namespace nmt_trt
