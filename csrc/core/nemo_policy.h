#pragma once

#include "core/length_penalty.h"
#include "core/policy.h"

namespace nmt_trt {

/// The search of NeMo's BeamSearchSequenceGenerator (version 1.23), token for token, in fp32 and in its order
/// of operations, quirks included:
/// - an ended hypothesis goes on with PAD: its first candidate adds 0, the others 10001 times their
/// log-probability;
/// - candidates are divided by the penalty of their parent, and multiplied back by that of the slot they move
/// to;
/// - EOS or PAD as first token does not end a hypothesis, and the first step counts a length of 3 in any
/// case;
/// - sentences end together.
class NemoPolicy final : public Policy {
 public:
  explicit NemoPolicy(const SearchOptions& options);

  int32_t candidates() const override { return beam_size_; }
  int32_t excluded_token() const override { return TopLogProbs::kNone; }
  bool continues(const Slot& /*slot*/) const override { return true; }
  bool ends_together() const override { return true; }
  float pad_query_bias() const override { return -10000.0F; }
  void start(const Candidate* top, std::vector<Move>& moves) const override;
  void advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const override;

 private:
  bool is_word(int32_t token) const { return token != eos_ && token != pad_; }

  int32_t beam_size_;
  int32_t eos_;
  int32_t pad_;
  int32_t other_length_;  // what a length counts besides the generated words
  LengthPenalty penalty_;
};

}  // namespace nmt_trt
