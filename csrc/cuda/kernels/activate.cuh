#pragma once

#include <cuda_runtime.h>

#include "cuda/linear.h"

namespace nmt_trt::cuda {

/// relu, the exact gelu, or swish, of a value and to a value that are scaled.
__device__ inline float activate(float value, const Activated& activated) {
  value *= activated.before;
  switch (activated.activation) {
    case Activation::kNone:
      break;
    case Activation::kRelu:
      value = fmaxf(value, 0.0F);
      break;
    case Activation::kGelu:
      value = 0.5F * value * (1.0F + erff(value * 0.707106781F));
      break;
    case Activation::kSwish:
      value = __fdividef(value, 1.0F + __expf(-value));
      break;
  }
  return value * activated.after;
}

}  // namespace nmt_trt::cuda
