#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/engine.h"
#include "cuda/device_buffer.h"
#include "generator/decoder_steps.h"
#include "generator/model_shape.h"
#include "generator/plans.h"

namespace nmt_trt {

/// A decoder step on TensorRT's engines: the decoder's segments.
class StepEngines final : public DecoderSteps {
 public:
  StepEngines(int32_t rows, const ModelShape& shape, Plans& plans, cudaStream_t stream);

  /// Device memory that they take for what flows between them.
  static size_t bytes_needed(int32_t rows, const ModelShape& shape, Plans& plans);

  void embed(const int32_t* token, const int32_t* position, cudaStream_t stream) override;
  void run(int32_t segment, cudaStream_t stream) override {
    contexts_[static_cast<size_t>(segment)]->enqueue(stream);
  }

  const void* qkv() const override { return qkv_; }
  const void* query() const override { return query_; }
  void* attention() const override { return attention_; }
  const void* logits() const override { return logits_; }
  size_t bytes() const override { return memory_.bytes(); }

 private:
  void bind(int32_t segment, const ModelShape& shape);
  void bind_inputs(const int32_t* token, const int32_t* position);

  int32_t rows_;
  std::shared_ptr<cuda::DeviceBuffer> scratch_;
  cuda::DeviceBuffer memory_;
  void* residual_[2];  // float32 [R, hidden], by turns input and output
  void* qkv_;
  void* query_;
  void* attention_;
  void* logits_;
  std::vector<std::unique_ptr<EngineContext>> contexts_;
};

}  // namespace nmt_trt
