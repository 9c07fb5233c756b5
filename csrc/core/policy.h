#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/beam.h"
#include "core/options.h"
#include "core/top_log_probs.h"

namespace nmt_trt {

/// The rules of a beam search: which candidates make the next beam, and when a hypothesis has ended.
class Policy {
 public:
  virtual ~Policy() = default;

  /// A token that is never generated, or TopLogProbs::kNone.
  virtual int32_t excluded_token() const = 0;
  /// Whether the continuations of such a hypothesis matter; if not its logits are not looked at.
  virtual bool continues(const Slot& slot) const = 0;
  /// Whether sentences go on until every one in the batch has ended.
  virtual bool ends_together() const = 0;
  /// What a PAD as last token adds to the self-attention bias of the whole row.
  virtual float pad_query_bias() const = 0;

  /// The first beam of a sentence. top: [K] best first tokens; moves: [K], written.
  virtual void start(const Candidate* top, std::vector<Move>& moves) const = 0;
  /// The next beam. top: [K, K] best continuations of each slot, undefined where `continues` denies; moves:
  /// [K], written.
  virtual void advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const = 0;
};

/// The rules that the options ask for; `options` has been validated.
std::unique_ptr<Policy> make_policy(const SearchOptions& options);

}  // namespace nmt_trt
