#include "engine/shim/context.h"

#include <cstdint>
#include <utility>

#include "core/errors.h"
#include "engine/shape_check.h"
#include "engine/shim/failure.h"
#include "engine/shim/tensors.h"

namespace nmt_trt {
namespace {

constexpr uintptr_t kScratchAlignment = 256;

}  // namespace

PlanContext::PlanContext(std::shared_ptr<Plan> plan, std::shared_ptr<nvinfer1::IExecutionContext> context)
    : plan_(std::move(plan)), context_(std::move(context)), has_scratch_(plan_->scratch_bytes == 0) {}

void PlanContext::set_scratch(void* memory, size_t bytes) {
  if (bytes < plan_->scratch_bytes) {
    throw UsageError("scratch memory", "at least " + std::to_string(plan_->scratch_bytes) + " bytes",
                     std::to_string(bytes));
  }
  if (reinterpret_cast<uintptr_t>(memory) % kScratchAlignment != 0) {
    throw UsageError("scratch memory must be aligned to 256 bytes");
  }
  context_->setDeviceMemoryV2(memory, static_cast<int64_t>(bytes));
  has_scratch_ = true;
}

void PlanContext::set_shape(const std::string& input, const Shape& shape) {
  const EngineTensor& tensor = plan_->tensor(input);
  if (!tensor.is_input) throw UsageError(input + " is an output: its shape follows from the inputs'");
  check_shape(tensor, shape);
  const uint64_t mark = plan_->runtime->logger.mark();
  if (!context_->setInputShape(input.c_str(), dims_of(shape))) {
    fail(plan_->runtime->logger, mark, "TensorRT refuses the shape " + to_string(shape) + " of " + input);
  }
}

void PlanContext::bind(const std::string& tensor, void* address) {
  const EngineTensor& known = plan_->tensor(tensor);
  const uint64_t mark = plan_->runtime->logger.mark();
  if (!context_->setTensorAddress(known.name.c_str(), address)) {
    fail(plan_->runtime->logger, mark, "TensorRT refuses the address of " + tensor);
  }
}

void PlanContext::enqueue(void* stream) {
  if (!has_scratch_) throw UsageError("set_scratch() must come before enqueue()");
  const uint64_t mark = plan_->runtime->logger.mark();
  if (!context_->enqueueV3(static_cast<cudaStream_t>(stream))) {
    fail(plan_->runtime->logger, mark, "TensorRT cannot run the plan");
  }
}

}  // namespace nmt_trt
