#pragma once

#include "core/options.h"
#include "cuda/random_logits.h"

namespace nmt_trt::testing {

/// Options that change scores, one by itself or each with probability 1/2.
void draw_scores(Random& random, SearchOptions& options);
/// Target prefixes, some of them empty, some whole translations.
void draw_prefixes(Random& random, SearchOptions& options);

}  // namespace nmt_trt::testing
