#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/hypothesis.h"
#include "core/options.h"

namespace nmt_trt {

/// sum_i log(min(sum_j p_ij, 1)) over the source positions i (Wu et al. 2016, arXiv:1609.08144, equation 14),
/// p_ij being what the j-th row attends to position i; sums below the smallest normal float count as that.
/// attention: [rows, source]. In double precision.
double coverage(const std::vector<float>& attention, int32_t source);

/// Of the hypotheses_sought() of a sentence, which have their attention, those that are returned: with a
/// coverage penalty, its multiple of coverage() is added to the scores, and they are ranked by these, equal
/// ones as they were; with policy sample their order stays. What was not asked for is taken from them.
void settle_attention(const SearchOptions& options, size_t sentence, std::vector<Hypothesis>& hypotheses);

}  // namespace nmt_trt
