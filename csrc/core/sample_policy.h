#pragma once

#include "core/length_penalty.h"
#include "core/policy.h"

namespace nmt_trt {

/// K hypotheses drawn each by itself (see sampler.h), in the order of their numbers; PAD never. One ends with
/// EOS or at the sentence's limit. Its log_prob is that of the model, before temperature and filters; its
/// score is policy gnmt's, and ranks nothing.
class SamplePolicy final : public Policy {
 public:
  explicit SamplePolicy(const SearchOptions& options);

  int32_t candidates() const override { return 1; }
  int32_t excluded_token() const override { return pad_; }
  bool processes_logits() const override { return true; }
  bool samples() const override { return true; }
  bool continues(const Slot& slot) const override { return !slot.ended; }
  bool ends_together() const override { return false; }
  float pad_query_bias() const override { return 0.0F; }
  void start(const Candidate* top, std::vector<Move>& moves) const override;
  void advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const override;
  std::vector<Hypothesis> results(const Sentence& sentence, int32_t count) const override;

 private:
  Move drawn(const Slot& slot, int32_t k, const Candidate& candidate) const;

  int32_t beam_size_;
  int32_t eos_;
  int32_t pad_;
  LengthPenalty penalty_;
};

}  // namespace nmt_trt
