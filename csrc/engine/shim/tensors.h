#pragma once

#include <NvInferRuntime.h>

#include <vector>

#include "core/engine.h"

namespace nmt_trt {

/// The engine's inputs and outputs; the shapes of its first optimization profile. Throws EngineError for a
/// type that nmt_trt does not know.
std::vector<EngineTensor> tensors_of(const nvinfer1::ICudaEngine& engine);

/// Throws UsageError for more dimensions than TensorRT has.
nvinfer1::Dims dims_of(const Shape& shape);

}  // namespace nmt_trt
