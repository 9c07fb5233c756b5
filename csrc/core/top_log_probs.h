#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

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

 private:
  void select(const float* logits, Candidate* best) const;
  void scan(const float* logits, size_t begin, size_t end, Candidate* best) const;

  size_t vocab_size_;
  size_t count_;
  int32_t excluded_;
  std::vector<float> tail_;    // [kBlock], the last part of a row, filled up with -inf
  std::vector<float> maxima_;  // [blocks]
};

}  // namespace nmt_trt
