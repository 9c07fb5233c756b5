#pragma once

#include <cstdint>

namespace nmt_trt {

/// What the generator needs to know of a model beside its plans.
struct ModelShape {
  /// Of the decoder. hidden = heads * head_size.
  int32_t layers, heads, head_size;
  int32_t encoder_layers, encoder_heads, encoder_head_size;
  /// A source token attends to itself and to those before it only.
  bool causal_encoder;
  int32_t vocab_size;
  /// Rows of the decoder's position table.
  int32_t max_positions;
  /// Special tokens of the target vocabulary.
  int32_t eos, pad, bos;
  /// Sentences of a batch and tokens of a source that the plans were built for, at most.
  int32_t max_batch, max_source;
  /// The layer whose cross-attention is told, or kTellsNone.
  int32_t attention_layer;
  static constexpr int32_t kTellsNone = -1;
};

}  // namespace nmt_trt
