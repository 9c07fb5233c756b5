#include "generator/plans.h"

#include <algorithm>
#include <utility>

#include "core/errors.h"

namespace nmt_trt {
namespace {

bool fits(const Shape& shape, const Shape& wanted) {
  return std::equal(shape.begin(), shape.end(), wanted.begin(), wanted.end(),
                    [](int64_t extent, int64_t wish) { return wish == -1 || extent == wish; });
}

}  // namespace

const EngineTensor& LoadedPlan::tensor(const std::string& name) const {
  for (const EngineTensor& tensor : engine->tensors()) {
    if (tensor.name == name) return tensor;
  }
  throw EngineError("the plan of '" + graph + "' has no tensor '" + name +
                    "': it was built from another graph");
}

Plans::Plans(std::shared_ptr<EngineLibrary> library, ModelSource source)
    : library_(std::move(library)), source_(std::move(source)) {}

const NativeDecoder& Plans::native_decoder(cudaStream_t stream) {
  if (!native_decoder_) {
    native_decoder_ = std::make_unique<NativeDecoder>(source_.native.value(), source_.shape, stream);
  }
  return *native_decoder_;
}

Extent Plans::rows() {
  return source_.native ? Extent{1, source_.native->max_rows} : extent(segment(0), "token");
}

DataType Plans::compute_type() {
  return source_.native ? source_.native->type : segment(0).tensor("qkv").type;
}

DataType Plans::logits_type() {
  return source_.native ? DataType::kFloat32 : segment(segments() - 1).tensor("logits").type;
}

LoadedPlan& Plans::encoder_segment(int32_t index) {
  const ModelShape& shape = source_.shape;
  const int64_t hidden = int64_t{shape.encoder_heads} * shape.encoder_head_size;
  const DataType type = compute_type();
  std::vector<Expected> expected;
  if (index == 0) {
    expected = {{"token", {-1}, DataType::kInt32}, {"position", {-1}, DataType::kInt32}};
  } else {
    expected = {{"attention", {-1, hidden}, type}, {"residual", {-1, hidden}, DataType::kFloat32}};
  }
  if (index < shape.encoder_layers) {
    expected.push_back({"residual_out", {-1, hidden}, DataType::kFloat32});
    expected.push_back({"qkv", {-1, 3 * hidden}, type});
  } else {
    const int64_t cross = int64_t{shape.heads} * shape.head_size;
    for (int32_t layer = 0; layer < shape.layers; ++layer) {
      expected.push_back({"cross_" + std::to_string(layer), {-1, 2 * cross}, type});
    }
  }
  return load("encoder_" + std::to_string(index), expected);
}

LoadedPlan& Plans::segment(int32_t index) {
  const ModelShape& shape = source_.shape;
  const int64_t hidden = int64_t{shape.heads} * shape.head_size;
  std::vector<Expected> expected;
  if (index == 0) {
    expected = {{"token", {-1}, DataType::kInt32}, {"position", {1}, DataType::kInt32}};
  } else {
    expected = {{"attention", {-1, hidden}, compute_type()}, {"residual", {-1, hidden}, DataType::kFloat32}};
  }
  if (index == segments() - 1) {
    expected.push_back({"logits", {-1, shape.vocab_size}, std::nullopt});
  } else {
    expected.push_back({"residual_out", {-1, hidden}, DataType::kFloat32});
    const std::optional<DataType> type = index == 0 ? std::nullopt : std::optional(compute_type());
    if (index % 2 == 0) {
      expected.push_back({"qkv", {-1, 3 * hidden}, type});
    } else {
      expected.push_back({"query", {-1, hidden}, type});
    }
  }
  return load("decoder_" + std::to_string(index), expected);
}

LoadedPlan& Plans::load(const std::string& graph, const std::vector<Expected>& expected) {
  const auto found = plans_.find(graph);
  if (found != plans_.end()) return found->second;
  const std::string bytes = source_.provider(graph);
  LoadedPlan plan{graph, library_->deserialize(bytes.data(), bytes.size()), bytes.size()};
  for (const Expected& wanted : expected) {
    const EngineTensor& tensor = plan.tensor(wanted.name);
    if (fits(tensor.shape, wanted.shape) && tensor.type == wanted.type.value_or(tensor.type)) continue;
    throw EngineError("the plan of '" + graph + "' is of another model: " + wanted.name + " is " +
                      name_of(tensor.type) + " " + to_string(tensor.shape) + " and should be " +
                      (wanted.type ? std::string(name_of(*wanted.type)) + " " : "") +
                      to_string(wanted.shape));
  }
  return plans_.emplace(graph, std::move(plan)).first->second;
}

Extent Plans::extent(const LoadedPlan& plan, const std::string& name) {
  const EngineTensor& tensor = plan.tensor(name);
  return {static_cast<int32_t>(tensor.min_shape.at(0)), static_cast<int32_t>(tensor.max_shape.at(0))};
}

std::shared_ptr<cuda::DeviceBuffer> Plans::scratch() {
  if (!scratch_) {
    size_t bytes = 1;
    for (int32_t index = 0; index <= source_.shape.encoder_layers; ++index) {
      bytes = std::max(bytes, encoder_segment(index).engine->scratch_bytes());
    }
    for (int32_t index = 0; index < segments(); ++index) {
      bytes = std::max(bytes, segment(index).engine->scratch_bytes());
    }
    scratch_ = std::make_shared<cuda::DeviceBuffer>(bytes);
  }
  return scratch_;
}

size_t Plans::plan_bytes() const {
  size_t total = native_decoder_ ? native_decoder_->bytes() : 0;
  for (const auto& [graph, plan] : plans_) total += plan.bytes;
  return total;
}

}  // namespace nmt_trt
