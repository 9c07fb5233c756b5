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
  text >> plan.graph >> plan.model.number >> plan.model.layers >> plan.heads >> plan.head_size >>
      plan.vocab_size >> type >> plan.tokens.least >> plan.tokens.most >> plan.rows.least >> plan.rows.most >>
      plan.scratch;
  plan.type = static_cast<DataType>(type);
  if (!text) throw EngineError("the plan is damaged");
  return plan;
}

/// A graph's side and number, and its model.
struct Part {
  bool of_encoder;
  int32_t segment;
  toy::Model model;
};

Part part_of(const FakePlan& plan) {
  const std::string& graph = plan.graph;
  return {graph.rfind("encoder_", 0) == 0, std::stoi(graph.substr(std::strlen("encoder_"))), plan.model};
}

EngineTensor input(const std::string& name, DataType type, const Shape& least, const Shape& most) {
  Shape shape = least;
  for (size_t i = 0; i < shape.size(); ++i) shape[i] = least[i] == most[i] && most[i] > 1 ? least[i] : -1;
  return {name, type, true, shape, least, most};
}

EngineTensor output(const std::string& name, DataType type, const Shape& shape) {
  return {name, type, false, shape, {}, {}};
}

std::vector<EngineTensor> behind_attention(const FakePlan& plan, const Extent& rows) {
  const int64_t hidden = plan.heads * plan.head_size;
  return {input("attention", plan.type, {rows.least, hidden}, {rows.most, hidden}),
          input("residual", DataType::kFloat32, {rows.least, hidden}, {rows.most, hidden})};
}

std::vector<EngineTensor> encoder_tensors(const FakePlan& plan, int32_t segment) {
  const int64_t hidden = plan.heads * plan.head_size;
  std::vector<EngineTensor> tensors;
  if (segment == 0) {
    for (const char* name : {"token", "position"}) {
      tensors.push_back(input(name, DataType::kInt32, {plan.tokens.least}, {plan.tokens.most}));
    }
  } else {
    tensors = behind_attention(plan, plan.tokens);
  }
  if (segment < toy::kEncoderLayers) {
    tensors.push_back(output("residual_out", DataType::kFloat32, {-1, hidden}));
    tensors.push_back(output("qkv", plan.type, {-1, 3 * hidden}));
    return tensors;
  }
  for (int32_t layer = 0; layer < plan.model.layers; ++layer) {
    tensors.push_back(output("cross_" + std::to_string(layer), plan.type, {-1, 2 * hidden}));
  }
  return tensors;
}

std::vector<EngineTensor> decoder_tensors(const FakePlan& plan, int32_t segment) {
  const int64_t hidden = plan.heads * plan.head_size;
  const int64_t least = plan.rows.least;
  const int64_t most = plan.rows.most;
  std::vector<EngineTensor> tensors;
  if (segment == 0) {
    tensors = {input("token", DataType::kInt32, {least}, {most}),
               {"position", DataType::kInt32, true, {1}, {1}, {1}}};
  } else {
    tensors = behind_attention(plan, plan.rows);
  }
  if (segment == 2 * plan.model.layers) {
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

void encode(const Bindings& run, const Part& part) {
  const int32_t segment = part.segment;
  const int64_t tokens = run.shapes.at(segment == 0 ? "token" : "attention")[0];
  if (segment == 0) device().encoded.push_back(static_cast<int32_t>(tokens));
  for (int64_t row = 0; row < tokens; ++row) {
    if (segment == 0) {
      const toy::Residual residual =
          toy::embed(run.at<const int32_t>("token")[row], run.at<const int32_t>("position")[row], part.model);
      run.at<toy::Residual>("residual_out")[row] = residual;
      toy::write_qkv(residual, 0, run.at<float>("qkv") + row * 3 * toy::kHidden);
      continue;
    }
    const toy::Residual source = toy::add_self(run.at<const toy::Residual>("residual")[row],
                                               run.at<const toy::Hidden>("attention")[row]);
    for (int32_t layer = 0; layer < part.model.layers; ++layer) {
      float* keys = run.at<float>("cross_" + std::to_string(layer)) + row * 2 * toy::kHidden;
      for (int32_t i = 0; i < toy::kHidden; ++i) {
        keys[i] = toy::cross_key(source, layer, i);
        keys[toy::kHidden + i] = toy::cross_value(source, layer, i);
      }
    }
  }
}

toy::Residual residual_of(const Bindings& run, const Part& part, int64_t row) {
  if (part.segment == 0) {
    return toy::embed(run.at<const int32_t>("token")[row], *run.at<const int32_t>("position"), part.model);
  }
  const toy::Residual before = run.at<const toy::Residual>("residual")[row];
  const toy::Hidden& attention = run.at<const toy::Hidden>("attention")[row];
  return part.segment % 2 == 1 ? toy::add_self(before, attention) : toy::add_cross(before, attention);
}

void decode(const Bindings& run, const Part& part) {
  const int32_t segment = part.segment;
  const int64_t rows = run.shapes.at(segment == 0 ? "token" : "attention")[0];
  for (int64_t row = 0; row < rows; ++row) {
    const toy::Residual residual = residual_of(run, part, row);
    if (segment == 2 * part.model.layers) {
      for (int32_t token = 0; token < toy::kVocabulary; ++token) {
        run.at<float>("logits")[row * toy::kVocabulary + token] = toy::logit(residual, token);
      }
      continue;
    }
    run.at<toy::Residual>("residual_out")[row] = residual;
    if (segment % 2 == 0) {
      toy::write_qkv(residual, segment / 2, run.at<float>("qkv") + row * 3 * toy::kHidden);
    } else {
      run.at<toy::Hidden>("query")[row] = toy::query(residual);
    }
  }
}

void fail_now_and_then(const std::string& what) {
  const cudaError_t status = device().call(what.c_str());
  if (status == cudaErrorMemoryAllocation) throw OutOfMemoryError(what + ": out of memory");
  if (status != cudaSuccess) throw EngineError(what + " failed");
}

class FakeContext final : public EngineContext {
 public:
  FakeContext(const Part& part, const std::vector<EngineTensor>& tensors, size_t scratch_bytes)
      : part_(part), tensors_(tensors), scratch_bytes_(scratch_bytes) {
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
    device().give(static_cast<cudaStream_t>(stream), cudaGraphNodeTypeKernel,
                  [run = bindings_, part = part_, alive = alive_] {
                    if (!*alive) return device().forbid("an engine runs whose context was destroyed");
                    std::memset(run.scratch, 0xA5, run.scratch_bytes);
                    part.of_encoder ? encode(run, part) : decode(run, part);
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
    device().forbid((part_.of_encoder ? "encoder " : "decoder ") + std::to_string(part_.segment) + ": " +
                    what);
  }

  Part part_;
  const std::vector<EngineTensor>& tensors_;
  size_t scratch_bytes_;
  Bindings bindings_;
  std::map<std::string, Shape> ran_with_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(const FakePlan& plan)
      : part_(part_of(plan)),
        tensors_(part_.of_encoder ? encoder_tensors(plan, part_.segment)
                                  : decoder_tensors(plan, part_.segment)),
        scratch_bytes_(plan.scratch) {
    fail_now_and_then("an engine");
    ++device().holdings.engines;
  }
  ~FakeEngine() override { --device().holdings.engines; }

  const std::vector<EngineTensor>& tensors() const override { return tensors_; }
  size_t scratch_bytes() const override { return scratch_bytes_; }
  std::unique_ptr<EngineContext> make_context() override {
    return std::make_unique<FakeContext>(part_, tensors_, scratch_bytes_);
  }

 private:
  Part part_;
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
  for (const Extent& extent : {plan.tokens, plan.rows}) {
    text << ' ' << extent.least << ' ' << extent.most;
  }
  std::string bytes = plan.graph + ' ' + std::to_string(plan.model.number) + ' ' +
                      std::to_string(plan.model.layers) + ' ' + std::to_string(plan.heads) + ' ' +
                      std::to_string(plan.head_size) + ' ' + std::to_string(plan.vocab_size) + ' ' +
                      std::to_string(static_cast<int32_t>(plan.type)) + text.str() + ' ' +
                      std::to_string(plan.scratch) + '\n';
  if (bytes.size() < plan.bytes) bytes.resize(plan.bytes);
  return bytes;
}

PlanProvider plans_like(const FakePlan& plan) {
  return [plan](const std::string& graph) {
    if (plan.native && graph.rfind("decoder_", 0) == 0) device().forbid("a plan is asked for in vain");
    FakePlan asked = plan;
    asked.graph = graph;
    return written(asked);
  };
}

std::shared_ptr<EngineLibrary> fake_library() { return std::make_shared<FakeLibrary>(); }

}  // namespace nmt_trt::testing
