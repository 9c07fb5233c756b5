#pragma once

#include <cstdint>

namespace nmt_trt::cuda {

/// What the kernels of encoder_attention() get; the number of heads is that of the grid.
template <typename T>
struct EncoderArguments {
  const int32_t* starts;
  const int32_t* lengths;
  int32_t head_size;
  bool causal;
  float scale;  // of powers of 2
  const T* qkv;
  T* out;
};

}  // namespace nmt_trt::cuda
