#pragma once

#include <vector>

#include "core/processors/logits_processor.h"

namespace nmt_trt {

/// Sequences that never come: of each the last token is banned where the others stand before it. EOS by
/// itself is not banned.
class BadWords final : public LogitsProcessor {
 public:
  BadWords(std::vector<std::vector<int32_t>> words, int32_t eos);
  void apply(const History& history, ScoreEdits& scores) const override;

 private:
  std::vector<std::vector<int32_t>> words_;
};

}  // namespace nmt_trt
