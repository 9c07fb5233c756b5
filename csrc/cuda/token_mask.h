#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/kernels/order.h"

namespace nmt_trt::cuda {

/// Sets of tokens, a bit for each: token t is bit t % 32 of number t / 32.
struct TokenMask {
  /// Tokens of a mask are a multiple of this.
  static constexpr int32_t kGranule = 1024;

  /// Numbers that a mask takes; bits beyond the vocabulary are 0.
  NMT_TRT_HOST_DEVICE static int64_t size(int32_t vocab_size) {
    return (int64_t{vocab_size} - 1) / kGranule * (kGranule / 32) + kGranule / 32;
  }
  NMT_TRT_HOST_DEVICE static uint32_t place(int32_t token) { return static_cast<uint32_t>(token) / 32U; }
  NMT_TRT_HOST_DEVICE static uint32_t bit(int32_t token) {
    return uint32_t{1} << (static_cast<uint32_t>(token) % 32U);
  }
  NMT_TRT_HOST_DEVICE static bool has(const uint32_t* mask, int32_t token) {
    return (mask[place(token)] & bit(token)) != 0;
  }
};

}  // namespace nmt_trt::cuda
