#pragma once

#include <cstddef>
#include <vector>

namespace nmt_trt {

/// The logarithm of the mean of several models' probabilities: what an ensemble's search takes for
/// log-probabilities. logits: of each model [rows, vocab_size]. average: [rows, vocab_size], in fp32; a row's
/// bits depend on the models' rows alone. A row is all NaN when a logit of any model is NaN or +inf, or all
/// of a model's are -inf: the search, which passes over rows of finished sentences, refuses it if it looks
/// there.
void average_log_probs(const std::vector<const float*>& logits, size_t rows, size_t vocab_size,
                       float* average);

}  // namespace nmt_trt
