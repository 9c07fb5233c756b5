#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>

namespace nmt_trt {

// What differs between the header sets; everything else in this folder compiles the same with all of them.

/// Kernels for any shape, compiled just in time, of all engines of a library; TensorRT-RTX only, empty
/// elsewhere. Must outlive the contexts made with it.
class KernelCache {
 public:
  KernelCache();
  ~KernelCache();

  /// Before the first context is made; false afterwards.
  bool load(const std::string& bytes);
  std::string save() const;

 private:
  friend class ContextMaker;
  struct State;
  std::unique_ptr<State> state_;
};

/// Makes the contexts of one engine, without memory of their own. Must outlive them.
class ContextMaker {
 public:
  ContextMaker(nvinfer1::ICudaEngine& engine, KernelCache& cache);
  ~ContextMaker();

  /// Null when TensorRT fails.
  std::shared_ptr<nvinfer1::IExecutionContext> make();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nmt_trt
