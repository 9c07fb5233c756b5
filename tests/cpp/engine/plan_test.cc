// Needs a GPU, a plan built for it, and the TensorRT library that built it:
//   NMT_TRT_TEST_PLAN=decoder.plan NMT_TRT_TEST_LIBRARY=libtensorrt_rtx.so.1 nmt_trt_engine_tests
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "../support.h"
#include "core/errors.h"
#include "engine/open_library.h"
#include "shims.h"

namespace nmt_trt {
namespace {

using testing::message_of;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// Memory of the device, filled with zeros.
class Buffer {
 public:
  explicit Buffer(size_t bytes) {
    EXPECT_EQ(cudaMalloc(&address_, std::max<size_t>(bytes, 1)), cudaSuccess);
    EXPECT_EQ(cudaMemset(address_, 0, bytes), cudaSuccess);
  }
  Buffer(Buffer&& other) noexcept : address_(std::exchange(other.address_, nullptr)) {}
  ~Buffer() { cudaFree(address_); }
  void* get() const { return address_; }

 private:
  void* address_ = nullptr;
};

class PlanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string path = environment("NMT_TRT_TEST_PLAN");
    const std::string library = environment("NMT_TRT_TEST_LIBRARY");
    if (path.empty() || library.empty()) GTEST_SKIP() << "set NMT_TRT_TEST_PLAN and NMT_TRT_TEST_LIBRARY";
    std::ifstream file(path, std::ios::binary);
    plan_.assign(std::istreambuf_iterator<char>(file), {});
    ASSERT_FALSE(plan_.empty()) << path;
    EngineLibraryOptions options;
    options.shims = testing::shims();
    options.library = library;
    options.log = [this](int severity, const char* message) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (severity <= kLogError) logged_ += message;
    };
    library_ = open_engine_library(options);
  }

  std::unique_ptr<Engine> whole() { return library_->deserialize(plan_.data(), plan_.size()); }

  std::string complaint(const std::string& plan) {
    return message_of<EngineError>([&] { library_->deserialize(plan.data(), plan.size()); });
  }

  std::string plan_;
  std::mutex mutex_;
  std::string logged_;
  std::shared_ptr<EngineLibrary> library_;
};

TEST_F(PlanTest, TellsItsTensors) {
  const auto engine = whole();
  ASSERT_FALSE(engine->tensors().empty());
  for (const EngineTensor& tensor : engine->tensors()) {
    const Shape& shape = tensor.shape;
    for (size_t i = 0; tensor.is_input && i < shape.size(); ++i) {
      EXPECT_LE(tensor.min_shape.at(i), tensor.max_shape.at(i)) << tensor.name;
      EXPECT_GE(tensor.min_shape.at(i), 0) << tensor.name;
      if (shape[i] >= 0) {
        EXPECT_EQ(tensor.min_shape.at(i), shape[i]) << tensor.name;
        EXPECT_EQ(tensor.max_shape.at(i), shape[i]) << tensor.name;
      }
    }
  }
}

TEST_F(PlanTest, DamagedPlansLeaveTheLibraryUsable) {
  EXPECT_EQ(complaint(""), "the plan is empty");
  for (const size_t bytes : {size_t{1}, size_t{100}, plan_.size() / 2, plan_.size() - 1}) {
    const std::string text = complaint(plan_.substr(0, bytes));
    EXPECT_NE(text.find("refuses the plan of " + std::to_string(bytes) + " bytes"), std::string::npos)
        << text;
    EXPECT_NE(text.find("Error Code"), std::string::npos) << text;
  }
  EXPECT_NE(complaint(std::string(4096, 'x')).find("refuses the plan"), std::string::npos);
  EXPECT_FALSE(logged_.empty());
  EXPECT_NO_THROW(whole()->make_context());
}

TEST_F(PlanTest, ContextChecksWhatItIsGiven) {
  const auto engine = whole();
  const auto context = engine->make_context();
  EXPECT_THROW(context->bind("nothing", nullptr), UsageError);
  EXPECT_THROW(context->set_shape("nothing", {1}), UsageError);
  for (const EngineTensor& tensor : engine->tensors()) {
    if (!tensor.is_input) {
      EXPECT_THROW(context->set_shape(tensor.name, tensor.shape), UsageError);
      continue;
    }
    Shape beyond = tensor.max_shape;
    if (beyond.empty()) continue;
    beyond.back() += 1;
    const std::string text = message_of<UsageError>([&] { context->set_shape(tensor.name, beyond); });
    for (const std::string& part : {tensor.name, to_string(beyond), to_string(tensor.max_shape)}) {
      EXPECT_NE(text.find(part), std::string::npos) << text;
    }
    EXPECT_NO_THROW(context->set_shape(tensor.name, tensor.min_shape));
    EXPECT_NO_THROW(context->set_shape(tensor.name, tensor.max_shape));
  }
  if (engine->scratch_bytes() > 0) {
    EXPECT_THROW(context->enqueue(nullptr), UsageError);
    EXPECT_THROW(context->set_scratch(nullptr, engine->scratch_bytes() - 1), UsageError);
  }
  EXPECT_THROW(context->set_scratch(reinterpret_cast<void*>(16), engine->scratch_bytes()), UsageError);
}

/// Room for a tensor: open extents of outputs are at most the product of the largest inputs' open ones.
size_t room(const EngineTensor& tensor, int64_t open_extent) {
  size_t bytes = size_of(tensor.type);
  const Shape& shape = tensor.is_input ? tensor.max_shape : tensor.shape;
  for (const int64_t extent : shape) bytes *= static_cast<size_t>(extent >= 0 ? extent : open_extent);
  return bytes;
}

// Everything at its smallest, all inputs zero; twice, the second time captured into a CUDA graph.
TEST_F(PlanTest, Runs) {
  const auto engine = whole();
  const auto context = engine->make_context();
  int64_t open_extent = 1;
  for (const EngineTensor& tensor : engine->tensors()) {
    if (!tensor.is_input) continue;
    int64_t product = 1;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      if (tensor.shape[i] < 0) product *= tensor.max_shape[i];
    }
    open_extent = std::max(open_extent, product);
    context->set_shape(tensor.name, tensor.min_shape);
  }
  std::map<std::string, Buffer> buffers;
  for (const EngineTensor& tensor : engine->tensors()) {
    const auto& buffer = buffers.try_emplace(tensor.name, Buffer(room(tensor, open_extent))).first->second;
    context->bind(tensor.name, buffer.get());
  }
  const Buffer scratch(engine->scratch_bytes());
  context->set_scratch(scratch.get(), engine->scratch_bytes());

  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  context->enqueue(stream);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  context->enqueue(stream);
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

TEST_F(PlanTest, KernelCacheSurvivesALibrary) {
  whole()->make_context();
  const std::string cache = library_->runtime_cache();
  if (library_->flavour() == "tensorrt") {
    EXPECT_EQ(cache, "");
    return;
  }
  EXPECT_THROW(library_->load_runtime_cache(cache), UsageError);
  for (const std::string& kept : {cache, std::string("not a cache")}) {
    library_.reset();
    SetUp();
    library_->load_runtime_cache(kept);
    EXPECT_EQ(library_->runtime_cache(), kept);
    EXPECT_NO_THROW(whole()->make_context());
    EXPECT_NE(library_->runtime_cache(), "not a cache");
  }
}

}  // namespace
}  // namespace nmt_trt
