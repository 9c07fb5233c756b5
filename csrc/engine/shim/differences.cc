#include "engine/shim/differences.h"

namespace nmt_trt {

using nvinfer1::ExecutionContextAllocationStrategy;
using nvinfer1::ICudaEngine;
using nvinfer1::IExecutionContext;

#ifdef TRT_MAJOR_RTX

using Specialization = nvinfer1::DynamicShapesKernelSpecializationStrategy;

struct KernelCache::State {
  /// Made by the first engine's configuration.
  std::unique_ptr<nvinfer1::IRuntimeCache> cache;
  /// Loaded before there was one.
  std::string loaded;

  /// Null when TensorRT fails.
  nvinfer1::IRuntimeCache* made_by(nvinfer1::IRuntimeConfig& config) {
    if (cache == nullptr) {
      cache.reset(config.createRuntimeCache());
      const std::string bytes = std::move(loaded);
      if (cache != nullptr && !bytes.empty() && !cache->deserialize(bytes.data(), bytes.size())) {
        cache->reset();
      }
    }
    return cache.get();
  }
};

KernelCache::KernelCache() : state_(std::make_unique<State>()) {}
KernelCache::~KernelCache() = default;

bool KernelCache::load(const std::string& bytes) {
  if (state_->cache != nullptr) return false;
  state_->loaded = bytes;
  return true;
}

std::string KernelCache::save() const {
  if (state_->cache == nullptr) return state_->loaded;
  const std::unique_ptr<nvinfer1::IHostMemory> bytes(state_->cache->serialize());
  return bytes != nullptr ? std::string(static_cast<const char*>(bytes->data()), bytes->size()) : "";
}

struct ContextMaker::State {
  ICudaEngine& engine;
  KernelCache& general;
  /// Whether `general` has what this engine needs.
  bool compiled;

  std::unique_ptr<nvinfer1::IRuntimeConfig> configuration() const {
    std::unique_ptr<nvinfer1::IRuntimeConfig> config(engine.createRuntimeConfig());
    if (config == nullptr) return nullptr;
    config->setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy::kUSER_MANAGED);
    config->setDynamicShapesKernelSpecializationStrategy(Specialization::kEAGER);
    return config;
  }

  bool compile(KernelCache::State& cache) {
    if (compiled) return true;
    const auto config = configuration();
    if (config == nullptr) return false;
    nvinfer1::IRuntimeCache* shared = cache.made_by(*config);
    if (shared == nullptr || !config->setRuntimeCache(*shared)) return false;
    const std::unique_ptr<IExecutionContext> context(engine.createExecutionContext(config.get()));
    compiled = context != nullptr;
    return compiled;
  }
};

ContextMaker::ContextMaker(ICudaEngine& engine, KernelCache& cache)
    : state_(new State{engine, cache, false}) {}
ContextMaker::~ContextMaker() = default;

// TensorRT-RTX 1.4 specialises kernels for a shape when the shape is met for the first time in a runtime
// cache; engines and contexts that meet it later in the same cache run general kernels. So that all contexts
// run the same kernels, and the fastest, each has a cache of its own, which begins with the general ones.
std::shared_ptr<IExecutionContext> ContextMaker::make() {
  if (!state_->compile(*state_->general.state_)) return nullptr;
  const auto config = std::shared_ptr<nvinfer1::IRuntimeConfig>(state_->configuration());
  if (config == nullptr) return nullptr;
  const auto cache = std::shared_ptr<nvinfer1::IRuntimeCache>(config->createRuntimeCache());
  const std::string general = state_->general.save();
  if (cache == nullptr || !cache->deserialize(general.data(), general.size()) ||
      !config->setRuntimeCache(*cache)) {
    return nullptr;
  }
  IExecutionContext* context = state_->engine.createExecutionContext(config.get());
  if (context == nullptr) return nullptr;
  return {context, [config, cache](IExecutionContext* done) { delete done; }};
}

#else

struct KernelCache::State {};

KernelCache::KernelCache() = default;
KernelCache::~KernelCache() = default;
bool KernelCache::load(const std::string&) { return true; }
std::string KernelCache::save() const { return ""; }

struct ContextMaker::State {
  ICudaEngine& engine;
};

ContextMaker::ContextMaker(ICudaEngine& engine, KernelCache&) : state_(new State{engine}) {}
ContextMaker::~ContextMaker() = default;

std::shared_ptr<IExecutionContext> ContextMaker::make() {
  return std::shared_ptr<IExecutionContext>(
      state_->engine.createExecutionContext(ExecutionContextAllocationStrategy::kUSER_MANAGED));
}

#endif

}  // namespace nmt_trt
