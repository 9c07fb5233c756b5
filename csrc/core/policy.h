#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/beam.h"
#include "core/hypothesis.h"
#include "core/options.h"
#include "core/sentence.h"
#include "core/top_log_probs.h"

namespace nmt_trt {

/// The rules of a beam search: which candidates make the next beam, and when a hypothesis has ended. K =
/// beam size, C = candidates().
class Policy {
 public:
  virtual ~Policy() = default;

  /// How many of a hypothesis' best continuations it wants to choose from.
  virtual int32_t candidates() const = 0;
  /// Places for finished hypotheses outside the beam.
  virtual int32_t pool_size() const { return 0; }
  /// A token that is never generated, or TopLogProbs::kNone.
  virtual int32_t excluded_token() const = 0;
  /// Whether logits processors change logits in place of log-probabilities.
  virtual bool processes_logits() const { return false; }
  /// Whether every hypothesis draws its next token by itself, in place of the best candidates.
  virtual bool samples() const { return false; }
  /// Whether the continuations of such a hypothesis matter; if not its logits are not looked at.
  virtual bool continues(const Slot& slot) const = 0;
  /// Whether sentences go on until every one in the batch has ended.
  virtual bool ends_together() const = 0;
  /// What a PAD as last token adds to the self-attention bias of the whole row.
  virtual float pad_query_bias() const = 0;

  /// The first moves of a sentence, best first. top: [C] best first tokens, or [K] of a policy that samples;
  /// moves: [K], written; longer where settle() is yet to choose.
  virtual void start(const Candidate* top, std::vector<Move>& moves) const = 0;
  /// The next moves. top: [K, C] best continuations of each slot, undefined where `continues` denies; moves
  /// as for start().
  virtual void advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const = 0;
  /// Takes finished hypotheses into the sentence's pool and leaves the K moves that make the next beam.
  virtual void settle(Sentence& /*sentence*/, std::vector<Move>& /*moves*/) const {}

  /// Whether the sentence is done, the beam having been extended.
  virtual bool finished(const Sentence& sentence) const {
    return sentence.beam.all_ended() || sentence.beam.steps() >= sentence.max_length;
  }
  /// At most `count` hypotheses, best first; one at least.
  virtual std::vector<Hypothesis> results(const Sentence& sentence, int32_t count) const {
    return sentence.beam.best(count);
  }
};

/// The rules that the options ask for; `options` has been validated.
std::unique_ptr<Policy> make_policy(const SearchOptions& options);

}  // namespace nmt_trt
