#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace nmt_trt {

/// A model's decoder step but for its attentions, at one number of rows (R = sentences in the batch times
/// beam size), and what flows between the two. Stages of the same R share it: only one of them runs at a
/// time.
class DecoderSteps {
 public:
  DecoderSteps() = default;
  DecoderSteps(const DecoderSteps&) = delete;
  DecoderSteps& operator=(const DecoderSteps&) = delete;
  virtual ~DecoderSteps() = default;

  /// Segment 0: writes qkv() of the first layer. token: [R]; position: [1].
  virtual void embed(const int32_t* token, const int32_t* position, cudaStream_t stream) = 0;
  /// Segment 2 * l + 1, between the attentions of layer l, and 2 * l + 2, behind them: reads attention(),
  /// writes query(), qkv() or logits().
  virtual void run(int32_t segment, cudaStream_t stream) = 0;

  virtual const void* qkv() const = 0;     // [R, 3 * hidden]
  virtual const void* query() const = 0;   // [R, hidden]
  virtual void* attention() const = 0;     // [R, hidden]
  virtual const void* logits() const = 0;  // [R, V]
  virtual size_t bytes() const = 0;
};

}  // namespace nmt_trt
