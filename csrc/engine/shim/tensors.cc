#include "engine/shim/tensors.h"

#include <algorithm>
#include <string>

#include "core/errors.h"

namespace nmt_trt {
namespace {

using nvinfer1::ICudaEngine;
using nvinfer1::OptProfileSelector;

DataType type_of(const std::string& tensor, nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kFLOAT:
      return DataType::kFloat32;
    case nvinfer1::DataType::kHALF:
      return DataType::kFloat16;
    case nvinfer1::DataType::kBF16:
      return DataType::kBFloat16;
    case nvinfer1::DataType::kINT32:
      return DataType::kInt32;
    default:
      throw EngineError("the plan's tensor " + tensor +
                        " has a type that is not used here (TensorRT's number " +
                        std::to_string(static_cast<int>(type)) + ")");
  }
}

Shape shape_of(const nvinfer1::Dims& dims) { return Shape(dims.d, dims.d + std::max(dims.nbDims, 0)); }

Shape profile_shape(const ICudaEngine& engine, const EngineTensor& input, OptProfileSelector which) {
  const nvinfer1::Dims dims = engine.getProfileShape(input.name.c_str(), 0, which);
  return dims.nbDims >= 0 ? shape_of(dims) : input.shape;
}

EngineTensor tensor_of(const ICudaEngine& engine, const char* name) {
  EngineTensor tensor;
  tensor.name = name;
  tensor.type = type_of(tensor.name, engine.getTensorDataType(name));
  tensor.is_input = engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
  tensor.shape = shape_of(engine.getTensorShape(name));
  if (tensor.is_input) {
    tensor.min_shape = profile_shape(engine, tensor, OptProfileSelector::kMIN);
    tensor.max_shape = profile_shape(engine, tensor, OptProfileSelector::kMAX);
  }
  return tensor;
}

}  // namespace

std::vector<EngineTensor> tensors_of(const ICudaEngine& engine) {
  std::vector<EngineTensor> tensors;
  for (int32_t i = 0; i < engine.getNbIOTensors(); ++i) {
    tensors.push_back(tensor_of(engine, engine.getIOTensorName(i)));
  }
  return tensors;
}

nvinfer1::Dims dims_of(const Shape& shape) {
  if (shape.size() > static_cast<size_t>(nvinfer1::Dims::MAX_DIMS)) {
    throw UsageError("shape", "of at most " + std::to_string(nvinfer1::Dims::MAX_DIMS) + " dimensions",
                     to_string(shape));
  }
  nvinfer1::Dims dims{};
  dims.nbDims = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.d);
  return dims;
}

}  // namespace nmt_trt
