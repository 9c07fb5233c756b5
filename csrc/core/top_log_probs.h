#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/score_edits.h"

namespace nmt_trt {

/// One possible next token of a hypothesis.
struct Candidate {
  /// log_softmax of the token's logit; -inf marks a candidate that does not exist.
  float log_prob;
  int32_t token;
};

/// Log-softmax of one row of logits, of which only the `count` best tokens are kept.
class TopLogProbs {
 public:
  static constexpr int32_t kNone = -1;

  /// `excluded` is a token never to propose, or kNone; it still takes its share of the probability.
  TopLogProbs(int32_t vocab_size, int32_t count, int32_t excluded);

  /// logits: [vocab_size]. best: [count], by falling logit, equal ones by rising token; where fewer tokens
  /// have a finite logit the rest is {-inf, 0}. A result depends on the row alone, to the last bit. Throws
  /// LogitsError when a logit is NaN or +inf, or all are -inf.
  void operator()(const float* logits, Candidate* best);

  /// The same with one candidate only, this token.
  void only(const float* logits, int32_t token, Candidate* best);

  /// Logarithm of the sum of exp(logits), [vocab_size]. Throws as above.
  double normaliser(const float* logits);
  /// The same with some scores changed; after normaliser() of these logits, which it gave. The probability of
  /// tokens without a change stays what it was.
  void operator()(const float* logits, double normaliser, const ScoreEdits& edits, Candidate* best) const;

 private:
  template <typename Skips>
  void select(const float* logits, const Skips& skips, double normaliser, Candidate* best) const;
  template <typename Skips>
  void scan(const float* logits, size_t begin, size_t end, const Skips& skips, Candidate* best) const;

  size_t vocab_size_;
  size_t count_;
  int32_t excluded_;
  std::vector<float> tail_;    // [kBlock], the last part of a row, filled up with -inf
  std::vector<float> maxima_;  // [blocks]
};

}  // namespace nmt_trt
