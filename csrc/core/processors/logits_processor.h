#pragma once

#include <cstddef>
#include <cstdint>

#include "core/score_edits.h"

namespace nmt_trt {

/// What a hypothesis consists of when its next token is chosen.
struct History {
  /// The start token and all generated ones; `size` of them.
  const int32_t* tokens;
  size_t size;
  /// Most generated tokens, EOS included.
  int32_t max_length;

  int32_t generated() const { return static_cast<int32_t>(size) - 1; }
  /// Whether the last tokens are those of `sequence`.
  bool ends_with(const int32_t* sequence, size_t length) const;
};

/// One rule that changes scores of next tokens. Each works as the class of this name in transformers 5.23.0.
class LogitsProcessor {
 public:
  virtual ~LogitsProcessor() = default;
  virtual void apply(const History& history, ScoreEdits& scores) const = 0;
};

}  // namespace nmt_trt
