#include "engine/shim/library.h"

#include <utility>

#include "core/errors.h"
#include "engine/shim/device.h"
#include "engine/shim/failure.h"
#include "engine/shim/in_parallel.h"
#include "engine/shim/plan.h"
#include "engine/tensorrt_library.h"

namespace nmt_trt {
namespace {

using CreateRuntime = void* (*)(void* logger, int32_t version);

std::unique_ptr<nvinfer1::IRuntime> create_runtime(const TensorRtLibrary& library, Logger& logger) {
  const auto create = library.object.find<CreateRuntime>("createInferRuntime_INTERNAL");
  if (create == nullptr) {
    throw EngineError(library.object.path() +
                      " is not a TensorRT library: it has no createInferRuntime_INTERNAL");
  }
  const uint64_t mark = logger.mark();
  nvinfer1::ILogger* const given = &logger;
  auto* runtime = static_cast<nvinfer1::IRuntime*>(create(given, NV_TENSORRT_VERSION));
  if (runtime == nullptr) fail(logger, mark, to_string(library.version) + " makes no runtime");
  return std::unique_ptr<nvinfer1::IRuntime>(runtime);
}

}  // namespace

// While it is being made, TensorRT may warn that it knows another logger already (another model's, or that of
// the Python module); nobody needs to hear that, so messages go on only from then.
Runtime::Runtime(const TensorRtLibrary& library, const EngineLibraryOptions& options)
    : version(library.version), logger(Logger::make()), runtime(create_runtime(library, logger)) {
  logger.forward_to(options.log);
}

Runtime::~Runtime() { logger.forward_to(nullptr); }

Library::Library(const EngineLibraryOptions& options) {
  require_cuda_device();
  const TensorRtLibrary library(options.library);
  const LibraryVersion headers = decode_version(NV_TENSORRT_VERSION);
  if (!fits(headers, library.version)) {
    throw EngineError(options.library + " is " + to_string(library.version) + "; this engine shim fits " +
                      fitting_versions(headers));
  }
  flavour_ = name_of(library.version.flavour);
  version_ = number_of(library.version);
  runtime_ = std::make_shared<Runtime>(library, options);
}

std::unique_ptr<Engine> Library::deserialize(const void* plan, size_t bytes) {
  if (plan == nullptr || bytes == 0) throw EngineError("the plan is empty");
  const std::lock_guard<std::mutex> lock(runtime_->mutex);
  const uint64_t mark = runtime_->logger.mark();
  std::unique_ptr<nvinfer1::ICudaEngine> engine(runtime_->runtime->deserializeCudaEngine(plan, bytes));
  if (engine == nullptr) {
    fail(runtime_->logger, mark,
         to_string(runtime_->version) + " refuses the plan of " + std::to_string(bytes) +
             " bytes (damaged, or made for another version or GPU)");
  }
  return std::make_unique<PlanEngine>(runtime_, std::move(engine));
}

// TensorRT takes a tenth of a second and more for the kernels of one context.
void Library::rehearse(const std::vector<EngineContext*>& contexts, void* stream) {
  in_parallel(contexts.size(), [&](size_t i) { contexts[i]->enqueue(stream); });
}

std::string Library::runtime_cache() {
  const std::lock_guard<std::mutex> lock(runtime_->mutex);
  return runtime_->kernels.save();
}

void Library::load_runtime_cache(const std::string& cache) {
  const std::lock_guard<std::mutex> lock(runtime_->mutex);
  if (!runtime_->kernels.load(cache)) {
    throw UsageError("a runtime cache can be loaded only before the first engine's context is made");
  }
}

}  // namespace nmt_trt
