#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/engine.h"

namespace nmt_trt::cuda {

/// Columns that the inputs and outputs of linear layers come in.
inline constexpr int32_t kLinearColumns = 32;
/// Columns of a row that can be normalized, at most.
inline constexpr int32_t kMaxNormalized = 1024;

enum class Activation { kNone, kRelu, kGelu, kSwish };

/// y = x weight^T + bias, in a type of 16 bits with sums in float32. Both extents are multiples of
/// kLinearColumns.
struct Linear {
  const void* weight;  // [outputs, inputs], 16-byte aligned
  const float* bias;   // [outputs], 16-byte aligned
  int32_t inputs, outputs;
};

/// LayerNorm: gain * (x - mean) / sqrt(variance + epsilon) + shift; gain is null where there is none.
struct Norm {
  const float* gain;   // [columns], 16-byte aligned
  const float* shift;  // [columns], 16-byte aligned
  float epsilon;
};

/// A residual stream as the input of a linear layer.
struct Normalized {
  const float* stream;  // [rows, inputs]
  Norm norm;
  float* kept;   // [rows, inputs], gets what the norm gives; or null. Not `stream`.
  float factor;  // that is multiplied by this before it is rounded to the type of the layer
};

/// What becomes of a linear layer's output: after * activation(before * y).
struct Activated {
  Activation activation;
  float before, after;
};

/// All of what follows gives a row the same bits at every number of rows. Arguments of `type`, kFloat16 or
/// kBFloat16, are 16-byte aligned; so are the streams. Throws UsageError for another type, for extents that
/// are no multiples of kLinearColumns, and for more than kMaxNormalized columns to normalize.

/// out [rows, outputs] of `type`; scratch: [rows, inputs] of `type`.
void normalized_linear(const Normalized& input, const Linear& linear, const Activated& activated,
                       void* scratch, void* out, int32_t rows, DataType type, cudaStream_t stream);

/// out [rows, outputs] = residual [rows, outputs] + factor * y, both float32 and possibly the same; x: [rows,
/// inputs] of `type`.
void residual_linear(const void* x, const Linear& linear, float factor, const float* residual, float* out,
                     int32_t rows, DataType type, cudaStream_t stream);

/// logits: float32 [rows, outputs] = factor * y. `outputs` may be any number. scratch: [rows, inputs] of
/// `type`; input.kept is not looked at.
void project_logits(const Normalized& input, const Linear& linear, float factor, void* scratch, float* logits,
                    int32_t rows, DataType type, cudaStream_t stream);

/// out: float32 [rows, columns] = scale * table[token[row]] + positions[*position], normalized where `norm`
/// has a gain. token: [rows] int32; table: [vocabulary, columns] of `type`; positions: float32.
struct Embedding {
  const void* table;
  const float* positions;
  float scale;
  Norm norm;
  int32_t columns;
};
void embed_tokens(const Embedding& embedding, const int32_t* token, const int32_t* position, float* out,
                  int32_t rows, DataType type, cudaStream_t stream);

/// out: float32 [rows, columns] = what `norm`, which has a gain, gives of x; possibly the same.
void normalize_rows(const float* x, const Norm& norm, float* out, int32_t rows, int32_t columns,
                    cudaStream_t stream);

}  // namespace nmt_trt::cuda
