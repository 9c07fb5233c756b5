#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "core/engine.h"
#include "cuda/device_buffer.h"
#include "generator/model_shape.h"
#include "generator/plans.h"

namespace nmt_trt {

/// The decoder's segments at one number of rows (R = sentences in the batch times beam size), and what flows
/// between them. Stages of the same R share it: only one of them runs at a time.
class StepEngines {
 public:
  StepEngines(int32_t rows, const ModelShape& shape, Plans& plans, cudaStream_t stream);

  /// Device memory that they take for what flows between them.
  static size_t bytes_needed(int32_t rows, const ModelShape& shape, Plans& plans);

  /// Segment 0. token: [R]; position: [1].
  void embed(const int32_t* token, const int32_t* position, cudaStream_t stream);
  /// Segment 1 and up: reads attention(), writes query(), qkv() or logits().
  void run(int32_t segment, cudaStream_t stream) { contexts_[static_cast<size_t>(segment)]->enqueue(stream); }

  const void* qkv() const { return qkv_; }        // [R, 3 * hidden]
  const void* query() const { return query_; }    // [R, hidden]
  void* attention() const { return attention_; }  // [R, hidden]
  const void* logits() const { return logits_; }  // [R, V]
  size_t bytes() const { return memory_.bytes(); }

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
