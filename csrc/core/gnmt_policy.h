#pragma once

#include "core/gnmt_choice.h"
#include "core/policy.h"

namespace nmt_trt {

/// Beam search with length-normalised ranking, each sentence by itself.
///
/// A hypothesis that ended with EOS stays in the beam as one candidate; any other proposes its K best
/// continuations, PAD never. Of all the K best are kept, in the order of GnmtChoice. A slot without candidate
/// is dead.
class GnmtPolicy final : public Policy {
 public:
  explicit GnmtPolicy(const SearchOptions& options);

  int32_t candidates() const override { return beam_size_; }
  int32_t excluded_token() const override { return pad_; }
  bool continues(const Slot& slot) const override { return !slot.ended; }
  bool ends_together() const override { return false; }
  float pad_query_bias() const override { return 0.0F; }
  void start(const Candidate* top, std::vector<Move>& moves) const override;
  void advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const override;

 private:
  int32_t beam_size_;
  int32_t pad_;
  GnmtChoice choice_;
};

}  // namespace nmt_trt
