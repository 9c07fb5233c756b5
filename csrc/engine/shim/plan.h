#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <vector>

#include "core/engine.h"
#include "engine/shim/differences.h"
#include "engine/shim/library.h"

namespace nmt_trt {

/// What an engine and its contexts share. Members are destroyed from last to first.
struct Plan {
  Plan(std::shared_ptr<Runtime> runtime, std::unique_ptr<nvinfer1::ICudaEngine> engine);

  /// Throws UsageError for an unknown name.
  const EngineTensor& tensor(const std::string& name) const;

  const std::shared_ptr<Runtime> runtime;
  const std::unique_ptr<nvinfer1::ICudaEngine> engine;
  const std::vector<EngineTensor> tensors;
  const size_t scratch_bytes;
  ContextMaker contexts;
};

class PlanEngine final : public Engine {
 public:
  /// Throws EngineError: a tensor of a type that nmt_trt does not know.
  PlanEngine(std::shared_ptr<Runtime> runtime, std::unique_ptr<nvinfer1::ICudaEngine> engine);

  const std::vector<EngineTensor>& tensors() const override { return plan_->tensors; }
  size_t scratch_bytes() const override { return plan_->scratch_bytes; }
  std::unique_ptr<EngineContext> make_context() override;

 private:
  std::shared_ptr<Plan> plan_;
};

}  // namespace nmt_trt
