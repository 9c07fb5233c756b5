#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/average_log_probs.h"
#include "cuda/device_buffer.h"
#include "cuda/search.h"
#include "generator/decoder_steps.h"
#include "generator/ensemble.h"

namespace nmt_trt {

/// The decoders of all models at one number of rows, and what they say together. Stages of the same number
/// share it: only one of them runs at a time.
class EnsembleSteps {
 public:
  EnsembleSteps(int32_t rows, Ensemble& ensemble, cudaStream_t stream);

  /// Device memory that they take.
  static size_t bytes_needed(int32_t rows, Ensemble& ensemble);

  DecoderSteps& of(size_t model) { return *decoders_[model]; }
  /// After the last segment of every model: makes logits() of theirs. A single model's are left as they are.
  void combine(const cuda::SearchState& search, const cuda::StepInputs& inputs, cudaStream_t stream);
  /// What the search looks at, [R, V].
  const cuda::ModelLogits& logits() const { return logits_; }
  size_t bytes() const;

 private:
  std::vector<std::unique_ptr<DecoderSteps>> decoders_;
  std::vector<cuda::ModelLogits> models_;
  cuda::DeviceBuffer memory_;  // of several models: averages, then what their kernels hand over
  float* average_ = nullptr;   // [R, V]
  void* scratch_ = nullptr;
  cuda::ModelLogits logits_;
};

}  // namespace nmt_trt
