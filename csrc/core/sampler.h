#pragma once

#include <cstdint>
#include <vector>

#include "core/draw.h"
#include "core/options.h"
#include "core/score_edits.h"

namespace nmt_trt {

/// Draws one token of a row of logits, as transformers' generate(do_sample=True) weights them: temperature,
/// the sampling_topk best, and of these the best whose probabilities add up to sampling_topp.
///
/// A token's weight is exp(score - best score) in fp32 times kWeightUnit, as an integer; tokens lighter than
/// 1 never come. The token is the first, by rising id, with which the sum of weights exceeds drawn_place().
class Sampler {
 public:
  static constexpr int32_t kNone = -1;

  /// Takes from the options what begins with sampling, seed and vocab_size. `excluded` is never drawn.
  Sampler(const SearchOptions& options, int32_t excluded);

  /// logits: [vocab_size], NaN nowhere; edits: of logits. kNone when every token is out.
  int32_t operator()(const float* logits, const ScoreEdits& edits, const Draw& draw);

  /// The weights of the last draw, [vocab_size]; 0 for tokens that were filtered out.
  const std::vector<uint64_t>& weights() const { return weights_; }

 private:
  void take_scores(const float* logits, const ScoreEdits& edits);
  void keep_topk();
  bool weigh();
  void keep_topp();

  size_t vocab_size_;
  int32_t excluded_;
  float temperature_;
  size_t topk_;
  double topp_;
  uint64_t seed_;
  std::vector<float> scores_;      // [blocks * kBlock], filled up with -inf
  std::vector<float> scratch_;     // [blocks * kBlock]
  std::vector<uint64_t> weights_;  // [vocab_size]
  std::vector<int32_t> order_;     // scratch of keep_topp()
};

}  // namespace nmt_trt
