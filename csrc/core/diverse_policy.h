#pragma once

#include <vector>

#include "core/gnmt_choice.h"
#include "core/policy.h"

namespace nmt_trt {

/// Diverse beam search (Vijayakumar et al. 2016, arXiv:1610.02424, with Hamming diversity): the beam is cut
/// into groups of equal size, each a beam of policy gnmt. At each step the groups choose one after the other,
/// and a token loses diversity_penalty of its log-probability for each time that the groups before chose it;
/// what is left goes into the sum. A hypothesis proposes its K best continuations as they were before, so
/// that some of them lost nothing. The only one that there is (a forced token, or one of a target
/// prefix) loses nothing.
class DiversePolicy final : public Policy {
 public:
  /// options.beam_groups divides options.beam_size.
  explicit DiversePolicy(const SearchOptions& options);

  int32_t candidates() const override { return beam_size_; }
  int32_t excluded_token() const override { return pad_; }
  bool continues(const Slot& slot) const override { return !slot.ended; }
  bool ends_together() const override { return false; }
  float pad_query_bias() const override { return 0.0F; }
  void start(const Candidate* top, std::vector<Move>& moves) const override;
  void advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const override;

 private:
  std::vector<Candidate> penalised(const Candidate* top, const std::vector<Move>& chosen) const;

  int32_t beam_size_;
  int32_t group_size_;
  int32_t pad_;
  float penalty_;
  GnmtChoice choice_;
};

}  // namespace nmt_trt
