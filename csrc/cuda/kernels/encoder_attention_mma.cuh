#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "cuda/kernels/attention_softmax.cuh"
#include "cuda/kernels/encoder_arguments.h"
#include "cuda/kernels/float_types.h"
#include "cuda/kernels/tensor_core.cuh"
#include "cuda/kernels/warp.h"

namespace nmt_trt::cuda {

// A block's queries and, in turn, the positions that they look at: the tiles of FlashAttention-2
// (arXiv:2307.08691, algorithm 1).
constexpr int kTile = 64;
// Queries of a warp, and positions multiplied at once: the tensor core's 16.
constexpr int kStep = 16;
constexpr int kMmaThreads = kTile / kStep * kWarpSize;
constexpr int kMaxMmaHeadSize = 128;
// 16-bit numbers of one access to 16 bytes.
constexpr int kMmaRun = 8;

/// Keys or values of one head in shared memory. The rows are an odd number of runs apart, so that eight runs
/// of neighbouring rows share no bank.
template <typename T, int kWidth>
struct alignas(16) HeadTile {
  T rows[kTile][kWidth + kMmaRun];
};

/// Rows of one head of a sentence, `stride` elements apart. Nothing behind `length` is read.
template <typename T>
struct SentenceRows {
  const T* first;
  int64_t stride;
  int32_t length;
  int32_t head_size;

  /// Starts copying rows `begin` to begin + kTile - 1. What lies behind `length` or head_size becomes zero.
  template <int kWidth>
  __device__ void start_tile(int32_t begin, HeadTile<T, kWidth>& tile) const {
    constexpr int kRuns = kWidth / kMmaRun;
#pragma unroll
    for (int i = 0; i < kTile * kRuns / kMmaThreads; ++i) {
      const int run = i * kMmaThreads + static_cast<int>(threadIdx.x);
      const int row = run / kRuns;
      const int element = run % kRuns * kMmaRun;
      const bool exists = begin + row < length && element < head_size;
      start_copy(&tile.rows[row][element], exists ? first + (begin + row) * stride + element : first,
                 !exists);
    }
  }

  /// A pair of multiply_add(), zeros where there is none.
  __device__ uint32_t pair(int32_t row, int element) const {
    if (row >= length || element >= head_size) return 0;
    return *reinterpret_cast<const uint32_t*>(first + row * stride + element);
  }
};

template <typename T>
__device__ uint32_t pair_of(float low, float high) {
  const T both[2] = {from_float<T>(low), from_float<T>(high)};
  uint32_t pair;
  memcpy(&pair, both, sizeof(pair));
  return pair;
}

/// The attention of a warp's queries to the positions of the tiles so far, as multiply_add() deals out its
/// sums: each lane has part of two queries, at [2 * query] and [2 * query + 1] of all fours. sums = sum of
/// 2^(score - maximum) over the lane's own positions, values = values weighted so.
template <typename T, int kWidth>
struct WarpAttended {
  float maxima[2] = {-INFINITY, -INFINITY};
  float sums[2] = {};
  float values[kWidth / 8][4] = {};

  /// Takes in the first `positions` of a tile (the rest is out of all queries' sight), in steps of kStep.
  /// sight: how many of them each query of the lane looks at; scores without `scale`.
  __device__ void add(float (&scores)[kTile / 8][4], float scale, int32_t positions,
                      const int32_t (&sight)[2], const HeadTile<T, kWidth>& tile) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
#pragma unroll
    for (int q = 0; q < 2; ++q) {
      float maximum = maxima[q];
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& score = scores[n][2 * q + i];
          score = n * 8 + lane % 4 * 2 + i < sight[q] ? __fmul_rn(score, scale) : -INFINITY;
          maximum = fmaxf(maximum, score);
        }
      }
      maximum = fmaxf(maximum, __shfl_xor_sync(kAllLanes, maximum, 1));
      maximum = fmaxf(maximum, __shfl_xor_sync(kAllLanes, maximum, 2));
      const float shrink = weight(maxima[q], maximum);
      maxima[q] = maximum;
      sums[q] = __fmul_rn(sums[q], shrink);
#pragma unroll
      for (int n = 0; n < kWidth / 8; ++n) {
        values[n][2 * q] = __fmul_rn(values[n][2 * q], shrink);
        values[n][2 * q + 1] = __fmul_rn(values[n][2 * q + 1], shrink);
      }
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& share = scores[n][2 * q + i];
          share = weight(share, maximum);
          sums[q] = __fadd_rn(sums[q], share);
        }
      }
    }

#pragma unroll
    for (int step = 0; step < kTile / kStep; ++step) {
      if (step * kStep >= positions) continue;
      const float (&near)[4] = scores[2 * step];
      const float (&far)[4] = scores[2 * step + 1];
      const uint32_t shares[4] = {pair_of<T>(near[0], near[1]), pair_of<T>(near[2], near[3]),
                                  pair_of<T>(far[0], far[1]), pair_of<T>(far[2], far[3])};
#pragma unroll
      for (int n = 0; n < kWidth / 8; n += 2) {
        uint32_t right[4];
        load_matrices_transposed(&tile.rows[step * kStep + lane % 16][n * 8 + lane / 16 * 8], right);
        multiply_add<T>(values[n], shares, right[0], right[1]);
        multiply_add<T>(values[n + 1], shares, right[2], right[3]);
      }
    }
  }
};

/// Products of a warp's queries with the first `positions` keys of a tile.
template <typename T, int kWidth>
__device__ void score_tile(const uint32_t (&queries)[kWidth / kStep][4], int32_t positions,
                           const HeadTile<T, kWidth>& tile, float (&scores)[kTile / 8][4]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
#pragma unroll
  for (int step = 0; step < kTile / kStep; ++step) {
    float (&near)[4] = scores[2 * step];
    float (&far)[4] = scores[2 * step + 1];
#pragma unroll
    for (int i = 0; i < 4; ++i) near[i] = far[i] = 0.0F;
    if (step * kStep >= positions) continue;
#pragma unroll
    for (int k = 0; k < kWidth / kStep; ++k) {
      uint32_t right[4];
      load_matrices(&tile.rows[step * kStep + lane / 16 * 8 + lane % 8][k * kStep + lane / 8 % 2 * 8], right);
      multiply_add<T>(near, queries[k], right[0], right[1]);
      multiply_add<T>(far, queries[k], right[2], right[3]);
    }
  }
}

// Grid: queries by kTile, heads, sentences. Heads of at most kWidth elements, a multiple of kMmaRun.
template <typename T, int kWidth>
__global__ void __launch_bounds__(kMmaThreads)
    encoder_attention_mma_kernel(const EncoderArguments<T> arguments) {
#if __CUDA_ARCH__ >= 800
  __shared__ HeadTile<T, kWidth> keys;
  __shared__ HeadTile<T, kWidth> values;
  const int32_t length = arguments.lengths[blockIdx.z];
  const int32_t block_begin = static_cast<int32_t>(blockIdx.x) * kTile;
  if (block_begin >= length) return;

  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int32_t warp_begin = block_begin + static_cast<int32_t>(threadIdx.x) / kWarpSize * kStep;
  const int32_t head_size = arguments.head_size;
  const int32_t head = static_cast<int32_t>(blockIdx.y) * head_size;
  const int64_t hidden = static_cast<int64_t>(gridDim.y) * head_size;
  const int64_t start = arguments.starts[blockIdx.z];
  const T* qkv = arguments.qkv + start * 3 * hidden + head;
  const SentenceRows<T> query_rows = {qkv, 3 * hidden, length, head_size};
  const SentenceRows<T> key_rows = {qkv + hidden, 3 * hidden, length, head_size};
  const SentenceRows<T> value_rows = {qkv + 2 * hidden, 3 * hidden, length, head_size};
  // Ends of what the block, the warp and the lane's two queries look at.
  const int32_t block_end = arguments.causal ? min(length, block_begin + kTile) : length;
  const int32_t warp_end = warp_begin >= length ? 0
                           : arguments.causal   ? min(length, warp_begin + kStep)
                                                : length;
  const int32_t query[2] = {warp_begin + lane / 4, warp_begin + lane / 4 + 8};
  const int32_t query_end[2] = {arguments.causal ? min(length, query[0] + 1) : length,
                                arguments.causal ? min(length, query[1] + 1) : length};

  key_rows.start_tile(0, keys);
  uint32_t queries[kWidth / kStep][4];
#pragma unroll
  for (int k = 0; k < kWidth / kStep; ++k) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      queries[k][i] = query_rows.pair(query[i % 2], k * kStep + lane % 4 * 2 + i / 2 * 8);
    }
  }
  WarpAttended<T, kWidth> attended;
  for (int32_t begin = 0; begin < block_end; begin += kTile) {
    const int32_t positions = warp_end - begin;
    float scores[kTile / 8][4];
    finish_copies();
    __syncthreads();  // Here are the keys, and nobody needs the last values any more.
    value_rows.start_tile(begin, values);
    if (positions > 0) score_tile(queries, positions, keys, scores);
    finish_copies();
    __syncthreads();  // Here are the values, and nobody needs the keys any more.
    if (begin + kTile < block_end) key_rows.start_tile(begin + kTile, keys);
    if (positions > 0) {
      attended.add(scores, arguments.scale, positions, {query_end[0] - begin, query_end[1] - begin}, values);
    }
  }

#pragma unroll
  for (int q = 0; q < 2; ++q) {
    float sum = attended.sums[q];
    sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 1));
    sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 2));
    if (query[q] >= length) continue;
    const float share = 1.0F / sum;
    T* out = arguments.out + (start + query[q]) * hidden + head;
#pragma unroll
    for (int n = 0; n < kWidth / 8; ++n) {
      const int element = n * 8 + lane % 4 * 2;
      if (element >= head_size) continue;
      *reinterpret_cast<uint32_t*>(out + element) = pair_of<T>(
          __fmul_rn(attended.values[n][2 * q], share), __fmul_rn(attended.values[n][2 * q + 1], share));
    }
  }
#endif
}

}  // namespace nmt_trt::cuda
