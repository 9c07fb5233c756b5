#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/beam.h"
#include "core/hypothesis.h"

namespace nmt_trt {

/// The best finished hypotheses of one sentence, for policies that take them out of the beam.
class FinishedPool {
 public:
  /// Stands for the score of a place that is free, and takes a hypothesis out of the running when added to
  /// its sum; transformers' value.
  static constexpr float kAway = -1e9F;

  /// A pool with `size` places.
  explicit FinishedPool(int32_t size) : places_(static_cast<size_t>(size)) {}

  /// Takes in a hypothesis of the beam continued as `move` says, in place of the worst one if that is worse;
  /// an equal score ranks behind.
  void offer(float score, const Move& move, const Beam& beam);

  bool full() const { return count_ == places_.size(); }
  /// Score that a hypothesis must exceed to be taken in.
  float worst() const { return full() ? places_.back().score : kAway; }
  /// At most `count` hypotheses, best first; those that were out of the running are left out.
  std::vector<Hypothesis> best(int32_t count) const;

 private:
  std::vector<Hypothesis> places_;  // [size], the first count_ by falling score
  size_t count_ = 0;
};

}  // namespace nmt_trt
