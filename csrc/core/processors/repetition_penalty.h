#pragma once

#include "core/processors/logits_processor.h"

namespace nmt_trt {

/// Scores of tokens seen before, the start token among them, are multiplied with the penalty when negative
/// and divided by it when not (Keskar et al. 2019, arXiv:1909.05858, mended for negative scores). It must
/// come before the other processors.
class RepetitionPenalty final : public LogitsProcessor {
 public:
  explicit RepetitionPenalty(float penalty) : penalty_(penalty) {}
  void apply(const History& history, ScoreEdits& scores) const override;

 private:
  float penalty_;
};

}  // namespace nmt_trt
