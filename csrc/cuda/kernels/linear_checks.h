#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <string>

#include "core/errors.h"
#include "cuda/linear.h"

namespace nmt_trt::cuda {

/// Throw UsageError for what linear layers do not take.
inline void check_columns(const char* what, int32_t columns, int32_t most) {
  if (columns >= kLinearColumns && columns % kLinearColumns == 0 && columns <= most) return;
  throw UsageError(what, "a multiple of " + std::to_string(kLinearColumns) + " up to " + std::to_string(most),
                   std::to_string(columns));
}

inline void check_linear(const Linear& linear) {
  check_columns("inputs of a linear layer", linear.inputs, INT32_MAX);
  check_columns("outputs of a linear layer", linear.outputs, INT32_MAX);
}

/// call(T{}) with the device's type for a type of 16 bits. Throws UsageError for another.
template <typename Call>
void with_linear_type(DataType type, Call call) {
  switch (type) {
    case DataType::kFloat16:
      return call(__half{});
    case DataType::kBFloat16:
      return call(__nv_bfloat16{});
    case DataType::kFloat32:
    case DataType::kInt32:
      break;
  }
  throw UsageError("the type of a linear layer", "float16 or bfloat16", name_of(type));
}

}  // namespace nmt_trt::cuda
