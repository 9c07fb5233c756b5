#pragma once

#include <cstdint>

namespace nmt_trt {

/// What the generator needs to know of a decoder beside its plans.
struct ModelShape {
  int32_t layers;
  int32_t heads;
  int32_t head_size;
  int32_t vocab_size;
  /// Rows of the decoder's position table.
  int32_t max_positions;
  /// Special tokens of the target vocabulary.
  int32_t eos, pad, bos;
  /// Padding token of the source vocabulary.
  int32_t source_pad;
};

}  // namespace nmt_trt
