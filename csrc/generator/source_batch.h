#pragma once

#include <cstdint>

namespace nmt_trt {

/// The sentences of one batch. ids: [sentences, width] right-padded; lengths: [sentences].
struct SourceBatch {
  const int32_t* ids;
  const int32_t* lengths;
  int32_t sentences;
  int32_t width;
};

}  // namespace nmt_trt
