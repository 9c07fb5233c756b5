#pragma once

#include "core/engine.h"

namespace nmt_trt {

/// Whether an input may have this shape. Throws UsageError naming the tensor, the shape given, and the least
/// and the largest shape.
void check_shape(const EngineTensor& input, const Shape& shape);

}  // namespace nmt_trt
