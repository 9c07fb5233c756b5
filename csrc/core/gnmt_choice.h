#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/beam.h"
#include "core/length_penalty.h"
#include "core/options.h"
#include "core/top_log_probs.h"

namespace nmt_trt {

/// Continues hypotheses and ranks what comes of it as policy gnmt does: by sum / penalty of each one's own
/// length, where len = generated tokens without EOS + 2; ties go to the lower parent, then to the lower
/// token.
class GnmtChoice {
 public:
  explicit GnmtChoice(const SearchOptions& options);

  /// Adds to the moves what may become of hypothesis `index`: itself if it has ended, else its continuations.
  /// top: [beam_size], best first.
  void propose(const Slot& slot, int32_t index, const Candidate* top, std::vector<Move>& moves) const;
  /// Leaves the `count` best of the moves from `first` on, best first, filled up with dead slots.
  void keep_best(size_t first, int32_t count, std::vector<Move>& moves) const;

 private:
  int32_t candidates_;
  int32_t eos_;
  int32_t pad_;
  LengthPenalty penalty_;
};

}  // namespace nmt_trt
