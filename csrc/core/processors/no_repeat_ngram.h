#pragma once

#include "core/processors/logits_processor.h"

namespace nmt_trt {

/// No n-gram comes twice in a hypothesis, the start token being part of it.
class NoRepeatNgram final : public LogitsProcessor {
 public:
  explicit NoRepeatNgram(int32_t size) : size_(static_cast<size_t>(size)) {}
  void apply(const History& history, ScoreEdits& scores) const override;

 private:
  size_t size_;
};

}  // namespace nmt_trt
