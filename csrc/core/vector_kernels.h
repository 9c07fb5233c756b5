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

}  // namespace nmt_trt
