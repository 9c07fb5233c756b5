#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/beam.h"
#include "core/options.h"
#include "core/processors/logits_processor.h"

namespace nmt_trt {

/// The processors that the options ask for, in transformers' order.
class ProcessorChain {
 public:
  /// `of_logits` as for ScoreEdits.
  ProcessorChain(const SearchOptions& options, bool of_logits);

  /// Whether they change nothing.
  bool empty() const { return idle_; }
  /// What they change for the next token of hypothesis k; valid until the next call. logits: [vocab_size] and
  /// the normaliser of their softmax.
  const ScoreEdits& operator()(const float* logits, double normaliser, const Beam& beam, int32_t k,
                               int32_t max_length);

 private:
  std::vector<std::unique_ptr<LogitsProcessor>> processors_;
  ScoreEdits edits_;
  bool idle_;
  std::vector<int32_t> tokens_;  // the start token, then scratch
};

}  // namespace nmt_trt
