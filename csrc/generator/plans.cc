#include "generator/plans.h"

#include <algorithm>
#include <utility>

#include "core/errors.h"

namespace nmt_trt {

const EngineTensor& LoadedPlan::tensor(const std::string& name) const {
  for (const EngineTensor& tensor : engine->tensors()) {
    if (tensor.name == name) return tensor;
  }
  throw EngineError("the plan of '" + graph + "' has no tensor '" + name +
                    "': it was built from another graph");
}

Plans::Plans(std::shared_ptr<EngineLibrary> library, PlanProvider provider, const ModelShape& shape)
    : library_(std::move(library)), provider_(std::move(provider)), shape_(shape) {}

LoadedPlan& Plans::encoder() {
  return load("encoder", "cross_k_" + std::to_string(shape_.layers - 1), shape_.head_size);
}

LoadedPlan& Plans::segment(int32_t index) {
  const std::string graph = "decoder_" + std::to_string(index);
  const int32_t hidden = shape_.heads * shape_.head_size;
  if (index == segments() - 1) return load(graph, "logits", shape_.vocab_size);
  return index % 2 == 0 ? load(graph, "qkv", 3 * hidden) : load(graph, "query", hidden);
}

// A plan that is kept has the output `tensor`, whose last extent is `width`.
LoadedPlan& Plans::load(const std::string& graph, const std::string& tensor, int64_t width) {
  const auto found = plans_.find(graph);
  if (found != plans_.end()) return found->second;
  const std::string bytes = provider_(graph);
  LoadedPlan plan{graph, library_->deserialize(bytes.data(), bytes.size()), bytes.size()};
  check_width(plan, tensor, width);
  return plans_.emplace(graph, std::move(plan)).first->second;
}

void Plans::check_width(const LoadedPlan& plan, const std::string& name, int64_t width) const {
  const Shape& shape = plan.tensor(name).shape;
  if (shape.back() == width) return;
  throw EngineError("the plan of '" + plan.graph + "' is of another model: " + name + " is " +
                    to_string(shape) + " and should end with " + std::to_string(width));
}

Extent Plans::extent(const LoadedPlan& plan, const std::string& name, size_t axis) {
  const EngineTensor& tensor = plan.tensor(name);
  return {static_cast<int32_t>(tensor.min_shape.at(axis)), static_cast<int32_t>(tensor.max_shape.at(axis))};
}

std::shared_ptr<cuda::DeviceBuffer> Plans::scratch() {
  if (!scratch_) {
    size_t bytes = std::max<size_t>(1, encoder().engine->scratch_bytes());
    for (int32_t index = 0; index < segments(); ++index) {
      bytes = std::max(bytes, segment(index).engine->scratch_bytes());
    }
    scratch_ = std::make_shared<cuda::DeviceBuffer>(bytes);
  }
  return scratch_;
}

size_t Plans::plan_bytes() const {
  size_t total = 0;
  for (const auto& [graph, plan] : plans_) total += plan.bytes;
  return total;
}

}  // namespace nmt_trt
