#pragma once

#include <cuda_runtime.h>

#include "cuda/linear.h"

namespace nmt_trt::cuda {

/// relu, the exact gelu, or swish, of values and to values that are scaled.
template <int kCount>
__device__ void activate(float (&values)[kCount], const Activated& activated) {
#pragma unroll
  for (float& value : values) value *= activated.before;
  switch (activated.activation) {
    case Activation::kNone:
      break;
    case Activation::kRelu:
#pragma unroll
      for (float& value : values) value = fmaxf(value, 0.0F);
      break;
    case Activation::kGelu:
#pragma unroll
      for (float& value : values) value = 0.5F * value * (1.0F + erff(value * 0.707106781F));
      break;
    case Activation::kSwish:
#pragma unroll
      for (float& value : values) value = __fdividef(value, 1.0F + __expf(-value));
      break;
  }
#pragma unroll
  for (float& value : values) value *= activated.after;
}

}  // namespace nmt_trt::cuda
