#pragma once

#include <cstddef>
#include <cstdint>

#include "core/beam.h"
#include "core/finished_pool.h"

namespace nmt_trt {

/// What the search keeps of one sentence.
struct Sentence {
  /// Of the sentence in the original batch.
  size_t index;
  Beam beam;
  /// Without places under a policy whose finished hypotheses stay in the beam.
  FinishedPool pool;
  int32_t max_length;
  bool finished;
};

}  // namespace nmt_trt
