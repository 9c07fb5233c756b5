#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <string>

#include "core/engine.h"
#include "core/errors.h"

namespace nmt_trt::cuda {

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(__half value) { return __half2float(value); }
__device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }

/// Rounded to nearest, ties to even.
template <typename T>
__device__ T from_float(float value);
template <>
__device__ inline float from_float(float value) {
  return value;
}
template <>
__device__ inline __half from_float(float value) {
  return __float2half_rn(value);
}
template <>
__device__ inline __nv_bfloat16 from_float(float value) {
  return __float2bfloat16_rn(value);
}

/// call(T{}) with the device's type for `type`. Throws UsageError, naming the tensor, for a type that is not
/// floating.
template <typename Call>
void with_float_type(const char* tensor, DataType type, Call call) {
  switch (type) {
    case DataType::kFloat32:
      return call(float{});
    case DataType::kFloat16:
      return call(__half{});
    case DataType::kBFloat16:
      return call(__nv_bfloat16{});
    case DataType::kInt32:
      break;
  }
  throw UsageError(std::string("the type of ") + tensor, "float32, float16 or bfloat16", name_of(type));
}

}  // namespace nmt_trt::cuda
