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
  KernelCache::State& cache;
  std::unique_ptr<nvinfer1::IRuntimeConfig> config;

  void share_cache() {
    if (cache.cache == nullptr) {
      cache.cache.reset(config->createRuntimeCache());
      if (cache.cache == nullptr) return;
      const std::string loaded = std::move(cache.loaded);
      if (!loaded.empty() && !cache.cache->deserialize(loaded.data(), loaded.size())) cache.cache->reset();
    }
    config->setRuntimeCache(*cache.cache);
  }
};

ContextMaker::ContextMaker(ICudaEngine& engine, KernelCache& cache)
    : state_(new State{engine, *cache.state_, nullptr}) {}
ContextMaker::~ContextMaker() = default;

std::unique_ptr<IExecutionContext> ContextMaker::make() {
  if (state_->config == nullptr) {
    state_->config.reset(state_->engine.createRuntimeConfig());
    if (state_->config == nullptr) return nullptr;
    state_->config->setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy::kUSER_MANAGED);
    state_->config->setDynamicShapesKernelSpecializationStrategy(Specialization::kEAGER);
    state_->share_cache();
  }
  return std::unique_ptr<IExecutionContext>(state_->engine.createExecutionContext(state_->config.get()));
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

std::unique_ptr<IExecutionContext> ContextMaker::make() {
  return std::unique_ptr<IExecutionContext>(
      state_->engine.createExecutionContext(ExecutionContextAllocationStrategy::kUSER_MANAGED));
}

#endif

}  // namespace nmt_trt
