#pragma once

#include "core/policy.h"

namespace nmt_trt {

/// The search of Hugging Face transformers' generate() (version 5.23.0) without sampling, token for token, in
/// fp32 and in its order of operations.
///
/// Of all continuations the 2K with the highest sums are looked at. Those among the first K that end, with
/// EOS or at the sentence's limit, go to a pool of K finished hypotheses, ranked by sum / len^alpha with len
/// = generated tokens, EOS included; the K best that do not end make the next beam. A sentence is done when
/// the pool is full and
/// - early_stopping is kYes; or
/// - the best sum of the beam / len^alpha does not exceed the worst score of the pool, where len is the
/// current length, or the limit under kNever with alpha > 0.
/// K = 1 is greedy search: the first hypothesis that ends is the result. PAD is a token like any other. With
/// patience p (Kasai et al. 2022, arXiv:2204.05424), which transformers does not have, the pool has K * p
/// places.
///
/// What runs out of candidates has a sum near -1e9: transformers puts K - 1 copies of the start there, and
/// hypotheses that have ended, when there are too few others.
class HfPolicy final : public Policy {
 public:
  explicit HfPolicy(const SearchOptions& options);

  int32_t candidates() const override { return candidates_; }
  int32_t pool_size() const override { return pool_size_; }
  int32_t excluded_token() const override { return TopLogProbs::kNone; }
  /// As transformers' greedy search does.
  bool processes_logits() const override { return beam_size_ == 1; }
  bool continues(const Slot& slot) const override { return !slot.dead(); }
  bool ends_together() const override { return false; }
  float pad_query_bias() const override { return 0.0F; }
  void start(const Candidate* top, std::vector<Move>& moves) const override;
  void advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const override;
  void settle(Sentence& sentence, std::vector<Move>& moves) const override;
  bool finished(const Sentence& sentence) const override;
  std::vector<Hypothesis> results(const Sentence& sentence, int32_t count) const override;

 private:
  float score(float sum, int32_t length) const;
  void propose(float sum, int32_t parent, const Candidate* top, std::vector<Move>& moves) const;
  void keep_best(std::vector<Move>& moves) const;

  int32_t beam_size_;
  int32_t pool_size_;
  int32_t candidates_;
  int32_t eos_;
  int32_t pad_;
  float length_penalty_;
  EarlyStopping early_stopping_;
};

}  // namespace nmt_trt
