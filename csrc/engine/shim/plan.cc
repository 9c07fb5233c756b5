#include "engine/shim/plan.h"

#include <utility>

#include "core/errors.h"
#include "engine/shim/context.h"
#include "engine/shim/failure.h"
#include "engine/shim/tensors.h"

namespace nmt_trt {

Plan::Plan(std::shared_ptr<Runtime> shared, std::unique_ptr<nvinfer1::ICudaEngine> deserialized)
    : runtime(std::move(shared)),
      engine(std::move(deserialized)),
      tensors(tensors_of(*engine)),
      scratch_bytes(static_cast<size_t>(engine->getDeviceMemorySizeV2())),
      contexts(*engine, runtime->kernels) {}

const EngineTensor& Plan::tensor(const std::string& name) const {
  std::string known;
  for (const EngineTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
    known += (known.empty() ? "" : ", ") + tensor.name;
  }
  throw UsageError("tensor", "one of " + known, name);
}

PlanEngine::PlanEngine(std::shared_ptr<Runtime> runtime, std::unique_ptr<nvinfer1::ICudaEngine> engine)
    : plan_(std::make_shared<Plan>(std::move(runtime), std::move(engine))) {}

std::unique_ptr<EngineContext> PlanEngine::make_context() {
  Runtime& runtime = *plan_->runtime;
  const std::lock_guard<std::mutex> lock(runtime.mutex);
  const uint64_t mark = runtime.logger.mark();
  auto context = plan_->contexts.make();
  if (context == nullptr) fail(runtime.logger, mark, "TensorRT makes no context for the plan");
  return std::make_unique<PlanContext>(plan_, std::move(context));
}

}  // namespace nmt_trt
