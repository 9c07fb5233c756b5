#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/engine.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {

/// Most models whose probabilities can be averaged.
inline constexpr int32_t kMaxModels = 16;

/// What one model says of the next tokens: [R * K, V] of `type` (kFloat32, kFloat16, kBFloat16).
struct ModelLogits {
  const void* logits;
  DataType type;
};

/// Bytes of the scratch memory for `beams` = R * K rows of logits of each model.
size_t average_log_probs_scratch_bytes(int32_t beams, int32_t models, int32_t vocab_size);

/// Before top_log_probs(): the logarithm of the mean of the probabilities of 1 to kMaxModels models, in fp32;
/// the bits of a row depend on the models' rows alone. average: float32 [R * K, V], which top_log_probs()
/// takes for logits; a row with NaN or +inf or nothing finite in any model's logits is all NaN. Rows that the
/// search does not look at are left alone.
void average_log_probs(const SearchState& state, const StepInputs& inputs,
                       const std::vector<ModelLogits>& models, void* scratch, float* average,
                       cudaStream_t stream);

}  // namespace nmt_trt::cuda
