#pragma once

#include <cstddef>

namespace nmt_trt {

/// Elements a block of logits; a row is read block by block.
inline constexpr size_t kBlock = 128;

/// maxima[i] = largest element of x[i * kBlock .. (i + 1) * kBlock), NaN ignored.
/// x: [blocks * kBlock], maxima: [blocks], no alignment needed.
void block_maxima(const float* x, size_t blocks, float* maxima);

/// Sum of exp(x - shift) over the blocks, each term within 1e-7 of the exact value, relatively.
/// x: [blocks * kBlock]. `shift` is at least the largest element; terms below exp(-87) count as exp(-87).
/// NaN when an element is NaN or the largest is infinite. The order of additions is fixed: the same bits on
/// every CPU.
double sum_exp(const float* x, size_t blocks, float shift);

/// y[i] = exp(x[i] - shift), each within 1e-7 of the exact value, relatively; below exp(-87) it is exp(-87).
/// x, y: [blocks * kBlock]. `shift` is at least the largest element. The same bits on every CPU.
void exp_shifted(const float* x, size_t blocks, float shift, float* y);

/// Logits and what makes log-probabilities of them: (logit - largest) - log_sum.
struct NormalisedLogits {
  const float* logits;  // [blocks * kBlock]
  float largest;        // finite
  float log_sum;        // logarithm of the sum of exp(logit - largest), finite
};

/// y[i] = logarithm of the mean of the probabilities that `count` rows of logits give token i, within 2e-7 of
/// the exact value beside what the fp32 log-probabilities are off; -inf where all of them are. y: [blocks *
/// kBlock]. Logits are no NaN. Equal rows give their log-probabilities to the last bit. The same bits on
/// every CPU.
void log_mean_exp(const NormalisedLogits* rows, size_t count, size_t blocks, float* y);

}  // namespace nmt_trt
