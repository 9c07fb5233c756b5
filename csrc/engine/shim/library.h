#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <mutex>
#include <string>

#include "core/engine.h"
#include "engine/open_library.h"
#include "engine/shim/differences.h"
#include "engine/shim/logger.h"
#include "engine/tensorrt_library.h"

namespace nmt_trt {

/// What all engines of a library share; lives as long as any of them. Members are destroyed from last to
/// first.
struct Runtime {
  /// Throws EngineError: TensorRT refuses.
  Runtime(const TensorRtLibrary& library, const EngineLibraryOptions& options);
  ~Runtime();

  const LibraryVersion version;
  Logger& logger;
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  KernelCache kernels;
  /// Held while engines and contexts are made.
  std::mutex mutex;
};

/// A TensorRT library for which this shim was compiled.
class Library final : public EngineLibrary {
 public:
  /// Throws EngineError: no CUDA device, no such library, one that does not fit, or TensorRT refuses.
  explicit Library(const EngineLibraryOptions& options);

  const std::string& flavour() const override { return flavour_; }
  const std::string& version() const override { return version_; }
  std::unique_ptr<Engine> deserialize(const void* plan, size_t bytes) override;
  void rehearse(const std::vector<EngineContext*>& contexts, void* stream) override;
  std::string runtime_cache() override;
  void load_runtime_cache(const std::string& cache) override;

 private:
  std::string flavour_;
  std::string version_;
  std::shared_ptr<Runtime> runtime_;
};

}  // namespace nmt_trt
