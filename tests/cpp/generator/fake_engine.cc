#include "fake_engine.h"

#include <cstring>
#include <map>
#include <sstream>
#include <utility>

#include "core/errors.h"
#include "fake_device.h"
#include "toy_model.h"

namespace nmt_trt::testing {
namespace {

FakePlan read_plan(const std::string& bytes) {
  FakePlan plan;
  std::istringstream text(bytes);
  int32_t type = 0;
  text >> plan.graph >> plan.heads >> plan.head_size >> plan.vocab_size >> type >> plan.batch.least >>
      plan.batch.most >> plan.source.least >> plan.source.most >> plan.rows.least >> plan.rows.most >>
      plan.scratch;
  plan.type = static_cast<DataType>(type);
  if (!text) throw EngineError("the plan is damaged");
  return plan;
}

/// The decoder's segment of a graph, -1 for the encoder.
int32_t segment_of(const std::string& graph) {
  return graph == "encoder" ? -1 : std::stoi(graph.substr(std::strlen("decoder_")));
}

EngineTensor input(const std::string& name, DataType type, const Shape& least, const Shape& most) {
  Shape shape = least;
  for (size_t i = 0; i < shape.size(); ++i) shape[i] = least[i] == most[i] && most[i] > 1 ? least[i] : -1;
  return {name, type, true, shape, least, most};
}

EngineTensor output(const std::string& name, DataType type, const Shape& shape) {
  return {name, type, false, shape, {}, {}};
}

std::vector<EngineTensor> encoder_tensors(const FakePlan& plan) {
  std::vector<EngineTensor> tensors = {
      input("input_ids", DataType::kInt32, {plan.batch.least, plan.source.least},
            {plan.batch.most, plan.source.most}),
      input("input_length", DataType::kInt32, {plan.batch.least}, {plan.batch.most}),
      output("cross_bias", DataType::kFloat32, {-1, 1, 1, -1})};
  for (int32_t layer = 0; layer < toy::kLayers; ++layer) {
    for (const char* name : {"cross_k_", "cross_v_"}) {
      tensors.push_back(
          output(name + std::to_string(layer), plan.type, {-1, plan.heads, -1, plan.head_size}));
    }
  }
  return tensors;
}

std::vector<EngineTensor> segment_tensors(const FakePlan& plan, int32_t segment) {
  const int64_t hidden = plan.heads * plan.head_size;
  const int64_t least = plan.rows.least;
  const int64_t most = plan.rows.most;
  std::vector<EngineTensor> tensors;
  if (segment == 0) {
    tensors = {input("token", DataType::kInt32, {least}, {most}),
               {"position", DataType::kInt32, true, {1}, {1}, {1}}};
  } else {
    tensors = {input("attention", plan.type, {least, hidden}, {most, hidden}),
               input("residual", DataType::kFloat32, {least, hidden}, {most, hidden})};
  }
  if (segment == 2 * toy::kLayers) {
    tensors.push_back(output("logits", DataType::kFloat32, {-1, plan.vocab_size}));
    return tensors;
  }
  tensors.push_back(output("residual_out", DataType::kFloat32, {-1, hidden}));
  if (segment % 2 == 0) {
    tensors.push_back(output("qkv", plan.type, {-1, 3 * hidden}));
  } else {
    tensors.push_back(output("query", plan.type, {-1, hidden}));
  }
  return tensors;
}

/// Shapes and addresses of one run.
struct Bindings {
  std::map<std::string, Shape> shapes;
  std::map<std::string, void*> addresses;
  void* scratch = nullptr;
  size_t scratch_bytes = 0;

  template <typename T>
  T* at(const std::string& name) const {
    return static_cast<T*>(addresses.at(name));
  }
};

void encode(const Bindings& run) {
  const Shape& shape = run.shapes.at("input_ids");
  const auto* ids = run.at<const int32_t>("input_ids");
  for (int32_t layer = 0; layer < toy::kLayers; ++layer) {
    auto* keys = run.at<float>("cross_k_" + std::to_string(layer));
    auto* values = run.at<float>("cross_v_" + std::to_string(layer));
    for (int64_t row = 0; row < shape[0]; ++row) {
      for (int32_t i = 0; i < toy::kHidden; ++i) {
        const int64_t head = row * toy::kHeads + i / toy::kHeadSize;
        for (int64_t position = 0; position < shape[1]; ++position) {
          const int64_t place = (head * shape[1] + position) * toy::kHeadSize + i % toy::kHeadSize;
          keys[place] = toy::cross_key(ids[row * shape[1] + position], layer, i);
          values[place] = toy::cross_value(ids[row * shape[1] + position], layer, i);
        }
      }
    }
  }
}

void write_qkv(const toy::Residual& residual, int32_t layer, float* qkv) {
  const toy::Hidden query = toy::query(residual);
  for (int32_t i = 0; i < toy::kHidden; ++i) {
    qkv[i] = query[static_cast<size_t>(i)];
    qkv[toy::kHidden + i] = toy::self_key(residual, layer, i);
    qkv[2 * toy::kHidden + i] = toy::self_value(residual, layer, i);
  }
}

toy::Residual residual_of(const Bindings& run, int32_t segment, int64_t row) {
  if (segment == 0)
    return toy::embed(run.at<const int32_t>("token")[row], *run.at<const int32_t>("position"));
  const toy::Residual before = run.at<const toy::Residual>("residual")[row];
  const toy::Hidden& attention = run.at<const toy::Hidden>("attention")[row];
  return segment % 2 == 1 ? toy::add_self(before, attention) : toy::add_cross(before, attention);
}

void decode(const Bindings& run, int32_t segment) {
  const int64_t rows = run.shapes.at(segment == 0 ? "token" : "attention")[0];
  for (int64_t row = 0; row < rows; ++row) {
    const toy::Residual residual = residual_of(run, segment, row);
    if (segment == 2 * toy::kLayers) {
      for (int32_t token = 0; token < toy::kVocabulary; ++token) {
        run.at<float>("logits")[row * toy::kVocabulary + token] = toy::logit(residual, token);
      }
      continue;
    }
    run.at<toy::Residual>("residual_out")[row] = residual;
    if (segment % 2 == 0) {
      write_qkv(residual, segment / 2, run.at<float>("qkv") + row * 3 * toy::kHidden);
    } else {
      run.at<toy::Hidden>("query")[row] = toy::query(residual);
    }
  }
}

void fail_now_and_then(const std::string& what) {
  const cudaError_t status = device().call();
  if (status == cudaErrorMemoryAllocation) throw OutOfMemoryError(what + ": out of memory");
  if (status != cudaSuccess) throw EngineError(what + " failed");
}

class FakeContext final : public EngineContext {
 public:
  FakeContext(int32_t segment, const std::vector<EngineTensor>& tensors, size_t scratch_bytes)
      : segment_(segment), tensors_(tensors), scratch_bytes_(scratch_bytes) {
    fail_now_and_then("a context");
    ++device().holdings.contexts;
    ++device().makings.contexts;
  }
  ~FakeContext() override {
    *alive_ = false;
    --device().holdings.contexts;
  }

  void set_scratch(void* memory, size_t bytes) override {
    bindings_.scratch = memory;
    bindings_.scratch_bytes = bytes;
  }
  void set_shape(const std::string& name, const Shape& shape) override {
    const EngineTensor& tensor = find(name);
    bool fits = shape.size() == tensor.min_shape.size();
    for (size_t i = 0; fits && i < shape.size(); ++i) {
      fits = shape[i] >= tensor.min_shape[i] && shape[i] <= tensor.max_shape[i];
    }
    if (!fits) throw UsageError("shape of " + name, "as the plan has it", to_string(shape));
    bindings_.shapes[name] = shape;
  }
  void bind(const std::string& name, void* address) override {
    bindings_.addresses[find(name).name] = address;
  }

  void enqueue(void* stream) override {
    fail_now_and_then("a run");
    if (bindings_.scratch == nullptr || bindings_.scratch_bytes < scratch_bytes_)
      forbid("has no scratch memory");
    for (const EngineTensor& tensor : tensors_) {
      if (bindings_.addresses.count(tensor.name) == 0) forbid(tensor.name + " is not bound");
      if (tensor.is_input && bindings_.shapes.count(tensor.name) == 0) forbid(tensor.name + " has no shape");
    }
    if (device().captures() && ran_with_ != bindings_.shapes) forbid("is captured before it ran");
    ran_with_ = bindings_.shapes;
    device().give(static_cast<cudaStream_t>(stream), [run = bindings_, segment = segment_, alive = alive_] {
      if (!*alive) return device().forbid("an engine runs whose context was destroyed");
      std::memset(run.scratch, 0xA5, run.scratch_bytes);
      segment < 0 ? encode(run) : decode(run, segment);
    });
  }

 private:
  const EngineTensor& find(const std::string& name) const {
    for (const EngineTensor& tensor : tensors_) {
      if (tensor.name == name) return tensor;
    }
    throw UsageError("no tensor " + name);
  }
  void forbid(const std::string& what) const {
    device().forbid("segment " + std::to_string(segment_) + ": " + what);
  }

  int32_t segment_;
  const std::vector<EngineTensor>& tensors_;
  size_t scratch_bytes_;
  Bindings bindings_;
  std::map<std::string, Shape> ran_with_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(const FakePlan& plan)
      : segment_(segment_of(plan.graph)),
        tensors_(segment_ < 0 ? encoder_tensors(plan) : segment_tensors(plan, segment_)),
        scratch_bytes_(plan.scratch) {
    fail_now_and_then("an engine");
    ++device().holdings.engines;
  }
  ~FakeEngine() override { --device().holdings.engines; }

  const std::vector<EngineTensor>& tensors() const override { return tensors_; }
  size_t scratch_bytes() const override { return scratch_bytes_; }
  std::unique_ptr<EngineContext> make_context() override {
    return std::make_unique<FakeContext>(segment_, tensors_, scratch_bytes_);
  }

 private:
  int32_t segment_;
  std::vector<EngineTensor> tensors_;
  size_t scratch_bytes_;
};

class FakeLibrary final : public EngineLibrary {
 public:
  const std::string& flavour() const override { return flavour_; }
  const std::string& version() const override { return version_; }
  std::unique_ptr<Engine> deserialize(const void* plan, size_t bytes) override {
    return std::make_unique<FakeEngine>(read_plan(std::string(static_cast<const char*>(plan), bytes)));
  }
  void rehearse(const std::vector<EngineContext*>& contexts, void* stream) override {
    for (EngineContext* context : contexts) context->enqueue(stream);
  }
  std::string runtime_cache() override { return {}; }
  void load_runtime_cache(const std::string& /*cache*/) override {}

 private:
  std::string flavour_ = "fake";
  std::string version_ = "0";
};

}  // namespace

std::string written(const FakePlan& plan) {
  std::ostringstream text;
  for (const Extent& extent : {plan.batch, plan.source, plan.rows}) {
    text << ' ' << extent.least << ' ' << extent.most;
  }
  std::string bytes = plan.graph + ' ' + std::to_string(plan.heads) + ' ' + std::to_string(plan.head_size) +
                      ' ' + std::to_string(plan.vocab_size) + ' ' +
                      std::to_string(static_cast<int32_t>(plan.type)) + text.str() + ' ' +
                      std::to_string(plan.scratch) + '\n';
  if (bytes.size() < plan.bytes) bytes.resize(plan.bytes);
  return bytes;
}

PlanProvider plans_like(const FakePlan& plan) {
  return [plan](const std::string& graph) {
    FakePlan asked = plan;
    asked.graph = graph;
    return written(asked);
  };
}

std::shared_ptr<EngineLibrary> fake_library() { return std::make_shared<FakeLibrary>(); }

}  // namespace nmt_trt::testing
