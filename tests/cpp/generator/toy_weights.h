#pragma once

#include <cstdint>

#include "generator/native_source.h"
#include "toy_model.h"

namespace nmt_trt::testing::toy {

inline constexpr int32_t kInner = 2 * kHidden;

/// What a linear layer of the toy model is for: the first element of its weight.
enum class Role { kQkv = 1, kSelfOut, kQuery, kCrossOut, kInnerIn, kInnerOut, kLogits };

/// The decoder of a toy model for kernels of ours. Its weights say what each is for; the second element of a
/// layer's weight is the number of its layer. Norms, before the blocks or behind the sums, change nothing.
NativeSource native_source(const Model& model, DataType type, int32_t max_rows, bool pre_norm);

}  // namespace nmt_trt::testing::toy
