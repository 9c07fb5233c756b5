#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "core/engine.h"
#include "cuda/device_buffer.h"
#include "cuda/linear.h"
#include "generator/decoder_steps.h"
#include "generator/model_shape.h"
#include "generator/native_decoder.h"
#include "generator/native_source.h"

namespace nmt_trt {

/// A decoder step on kernels of ours: a linear layer comes with the norm and the scaling of what it reads and
/// the activation or the residual sum of what it gives.
class NativeSteps final : public DecoderSteps {
 public:
  /// `decoder` must outlive it.
  NativeSteps(int32_t rows, const ModelShape& shape, const NativeSource& source, const NativeDecoder& decoder,
              cudaStream_t stream);

  /// Device memory that it takes for what flows between its parts.
  static size_t bytes_needed(int32_t rows, const ModelShape& shape, const NativeSource& source);

  void embed(const int32_t* token, const int32_t* position, cudaStream_t stream) override;
  void run(int32_t segment, cudaStream_t stream) override;

  const void* qkv() const override { return qkv_; }
  const void* query() const override { return query_; }
  void* attention() const override { return attention_; }
  const void* logits() const override { return logits_; }
  size_t bytes() const override { return memory_.bytes(); }

 private:
  void rehearse(const int32_t* zeros, cudaStream_t stream);
  void enter(const NativeBlock& block, const NativeBlock* left, const cuda::Activated& activated, void* out,
             cudaStream_t stream);
  void leave(const NativeBlock& block, const void* inner, cudaStream_t stream);
  void project(const NativeBlock& left, cudaStream_t stream);

  int32_t rows_;
  int32_t hidden_size_;
  DataType type_;
  bool pre_norm_;
  const NativeParts& parts_;
  cuda::DeviceBuffer memory_;
  float* residual_;  // [R, hidden] the residual stream, normalized in a post-norm model
  float* sum_;  // [R, hidden] likewise, behind a block and not yet normalized; pre-norm: residual_ itself
  void* qkv_;
  void* query_;
  void* attention_;  // and scratch of linear layers behind its last reader
  void* hidden_;     // [R, inner]
  float* logits_;
};

}  // namespace nmt_trt
