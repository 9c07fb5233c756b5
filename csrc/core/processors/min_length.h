#pragma once

#include "core/processors/logits_processor.h"

namespace nmt_trt {

/// No EOS before so many generated tokens (transformers' MinNewTokensLength).
class MinLength final : public LogitsProcessor {
 public:
  MinLength(int32_t min_length, int32_t eos) : min_length_(min_length), eos_(eos) {}
  void apply(const History& history, ScoreEdits& scores) const override {
    if (history.generated() < min_length_) scores.ban(eos_);
  }

 private:
  int32_t min_length_;
  int32_t eos_;
};

}  // namespace nmt_trt
