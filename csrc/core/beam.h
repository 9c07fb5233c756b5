#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/hypothesis.h"

namespace nmt_trt {

/// What a policy keeps of one hypothesis of the beam.
struct Slot {
  /// Sum of log-probabilities; -inf for a dead slot: there were fewer candidates than slots.
  float sum = -std::numeric_limits<float>::infinity();
  /// Length penalty of the hypothesis.
  float penalty = 1.0F;
  /// Generated tokens other than EOS and PAD.
  int32_t words = 0;
  /// No more tokens will follow.
  bool ended = true;

  float score() const { return sum / penalty; }
  bool dead() const { return sum == -std::numeric_limits<float>::infinity(); }
};

/// One slot of the next beam: the slot that it continues, its new last token, and what it becomes.
struct Move {
  int32_t parent;
  int32_t token;
  Slot slot;
};

/// The K hypotheses of one sentence. Tokens stay where they were generated, at (step, slot); a hypothesis is
/// the list of slots it went through, its ancestry, as the keys and values of the model's cache are.
class Beam {
 public:
  Beam(int32_t size, int32_t eos, int32_t pad);
  /// A beam as it was kept elsewhere. tokens: [steps, size]; ancestry: [size][steps].
  Beam(int32_t eos, int32_t pad, std::vector<Slot> slots, std::vector<int32_t> tokens,
       std::vector<std::vector<int32_t>> ancestry);

  /// One more token a slot. moves: [size]; with the first, the parents do not matter.
  void extend(const std::vector<Move>& moves);
  /// One more step in which nothing happens, for a finished sentence in a running batch.
  void idle();

  int32_t size() const { return static_cast<int32_t>(slots_.size()); }
  const Slot& slot(int32_t k) const { return slots_[static_cast<size_t>(k)]; }
  bool all_ended() const;
  /// Last token of hypothesis k; PAD for one that had ended before.
  int32_t last_token(int32_t k) const { return last_[static_cast<size_t>(k)]; }
  /// The slot of hypothesis k at each step, the newest being k itself.
  const std::vector<int32_t>& ancestry(int32_t k) const { return ancestry_[static_cast<size_t>(k)]; }
  /// At most `count` hypotheses, best first, equal scores in the order of their slots; dead slots are left
  /// out, but one is returned when there is nothing else.
  std::vector<Hypothesis> best(int32_t count) const;

 private:
  std::vector<int32_t> words(int32_t k) const;

  int32_t eos_;
  int32_t pad_;
  std::vector<Slot> slots_;                         // [size]
  std::vector<int32_t> last_;                       // [size]
  std::vector<int32_t> tokens_;                     // [steps, size]
  std::vector<std::vector<int32_t>> ancestry_;      // [size][steps]
  std::vector<std::vector<int32_t>> new_ancestry_;  // scratch of extend()
};

}  // namespace nmt_trt
