#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>

#include "core/engine.h"
#include "engine/shim/plan.h"

namespace nmt_trt {

class PlanContext final : public EngineContext {
 public:
  PlanContext(std::shared_ptr<Plan> plan, std::shared_ptr<nvinfer1::IExecutionContext> context);

  void set_scratch(void* memory, size_t bytes) override;
  void set_shape(const std::string& input, const Shape& shape) override;
  void bind(const std::string& tensor, void* address) override;
  void enqueue(void* stream) override;

 private:
  std::shared_ptr<Plan> plan_;
  std::shared_ptr<nvinfer1::IExecutionContext> context_;
  bool has_scratch_;
};

}  // namespace nmt_trt
