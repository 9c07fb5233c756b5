#pragma once

#include "core/processors/logits_processor.h"

namespace nmt_trt {

/// The first generated token is this one.
class ForcedBos final : public LogitsProcessor {
 public:
  explicit ForcedBos(int32_t token) : token_(token) {}
  void apply(const History& history, ScoreEdits& scores) const override {
    if (history.generated() == 0) scores.force(token_);
  }

 private:
  int32_t token_;
};

/// The last token that the length allows is this one.
class ForcedEos final : public LogitsProcessor {
 public:
  explicit ForcedEos(int32_t token) : token_(token) {}
  void apply(const History& history, ScoreEdits& scores) const override {
    if (history.generated() == history.max_length - 1) scores.force(token_);
  }

 private:
  int32_t token_;
};

}  // namespace nmt_trt
