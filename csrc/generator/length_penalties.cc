#include "generator/length_penalties.h"

#include <cmath>

#include "core/length_penalty.h"

namespace nmt_trt {

// As GnmtPolicy and NemoPolicy, and as HfPolicy compute it.
float length_penalty_at(const SearchOptions& options, int32_t length) {
  if (options.policy != PolicyKind::kHf) return LengthPenalty(options.length_penalty)(length);
  return static_cast<float>(
      std::pow(static_cast<double>(length), static_cast<double>(options.length_penalty)));
}

}  // namespace nmt_trt
