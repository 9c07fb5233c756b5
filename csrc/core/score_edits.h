#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace nmt_trt {

/// Changed scores of one hypothesis' next tokens, beside its row of logits, which stays as it is.
class ScoreEdits {
 public:
  static constexpr float kBanned = -std::numeric_limits<float>::infinity();

  struct Edit {
    int32_t token;
    float score;
  };

  /// With `of_logits` a score is the logit, otherwise the log-probability. Tokens of `never` are banned in
  /// every row, whatever else is done to them, unless they are forced.
  ScoreEdits(int32_t vocab_size, bool of_logits, const std::vector<int32_t>& never = {});

  /// Begins a row without changes. logits: [vocab_size], read until the next begin(); normaliser: that of
  /// their softmax.
  void begin(const float* logits, double normaliser);

  /// The score of a token before any change.
  float original(int32_t token) const;
  void set(int32_t token, float score);
  void ban(int32_t token);
  /// The token alone is left, with a score of 0.
  void force(int32_t token);

  bool has(int32_t token) const { return forced_ || place_[static_cast<size_t>(token)] != kNowhere; }
  /// Whether tokens without an edit are out.
  bool forced() const { return forced_; }
  /// Without those that are banned in every row.
  const std::vector<Edit>& edits() const { return edits_; }
  /// Tokens that are banned in every row, rising.
  const std::vector<int32_t>& never() const { return never_; }
  /// What an edit adds to the sum of its hypothesis.
  float log_prob(const Edit& edit) const;
  /// What a token adds to it, edited or not.
  float log_prob(int32_t token) const;

 private:
  static constexpr int32_t kNowhere = -1;
  static constexpr int32_t kNever = -2;

  void clear();

  std::vector<int32_t> place_;  // [vocab_size], where in edits_, or kNowhere or kNever
  std::vector<int32_t> never_;
  std::vector<Edit> edits_;
  const float* logits_ = nullptr;
  double normaliser_ = 0;
  bool of_logits_;
  bool forced_ = false;
};

}  // namespace nmt_trt
