#pragma once

#include <utility>
#include <vector>

#include "core/processors/logits_processor.h"

namespace nmt_trt {

/// Tokens that never come, not even when forced.
class SuppressTokens final : public LogitsProcessor {
 public:
  explicit SuppressTokens(std::vector<int32_t> tokens) : tokens_(std::move(tokens)) {}
  void apply(const History& /*history*/, ScoreEdits& scores) const override {
    for (const int32_t token : tokens_) scores.ban(token);
  }

 private:
  std::vector<int32_t> tokens_;
};

}  // namespace nmt_trt
