#pragma once

#include <cstdint>

#include "core/options.h"

namespace nmt_trt {

/// What the sum of a hypothesis of this length is divided by; the length counts as the policy counts it.
float length_penalty_at(const SearchOptions& options, int32_t length);

}  // namespace nmt_trt
