#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nmt_trt {

/// What hypotheses attend to at one step of the model: a row of `width` source positions for each, one behind
/// the other.
struct SourceAttention {
  const float* rows = nullptr;
  int32_t width = 0;
};

/// What the hypotheses of one sentence attended to at each step, as the model gave it: at step s the row of a
/// slot gives the tokens of all hypotheses that continue it. At step 0 there is slot 0 alone.
class AttentionRows {
 public:
  /// Keeps nothing.
  AttentionRows() = default;
  /// Of a beam of this size, for a source of so many tokens.
  AttentionRows(int32_t beam_size, int32_t source) : beam_size_(beam_size), source_(source) {}

  bool kept() const { return source_ > 0; }
  int32_t source() const { return source_; }
  /// The rows of one more step. rows: [hypotheses, width], the source being in front; hypotheses: 1, or the
  /// beam size.
  void append(const float* rows, int32_t hypotheses, int32_t width);
  /// [source]
  const float* row(size_t step, int32_t slot) const;

 private:
  int32_t beam_size_ = 0;
  int32_t source_ = 0;
  std::vector<float> rows_;  // [steps, beam_size, source]
};

/// Hypothesis::attention, gathered token by token. PAD has no row, and EOS only as the last token.
class AttentionPath {
 public:
  AttentionPath(const AttentionRows& kept, int32_t eos, int32_t pad) : kept_(kept), eos_(eos), pad_(pad) {}

  /// `token` was generated at `step`, continuing what was in slot `parent`.
  void add(size_t step, int32_t parent, int32_t token);
  /// [length, source]
  std::vector<float> rows() const { return rows_; }

 private:
  const AttentionRows& kept_;
  int32_t eos_, pad_;
  bool ends_ = false;  // the last row is EOS's
  std::vector<float> rows_;
};

}  // namespace nmt_trt
