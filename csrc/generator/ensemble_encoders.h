#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "generator/encoder_engines.h"
#include "generator/ensemble.h"

namespace nmt_trt {

/// The encoders of all models for one number of tokens. Stages that encode so many share it: only one of them
/// runs at a time.
class EnsembleEncoders {
 public:
  EnsembleEncoders(int32_t tokens, Ensemble& ensemble, cudaStream_t stream);

  /// Device memory that they take for what flows between their segments.
  static size_t bytes_needed(int32_t tokens, Ensemble& ensemble);

  EncoderEngines& of(size_t model) { return *engines_[model]; }
  /// Puts a source of `length` tokens behind the `first` ones that are there, before send().
  void write(const int32_t* ids, int32_t length, int32_t first);
  void send(cudaStream_t stream);
  size_t bytes() const;

 private:
  std::vector<std::unique_ptr<EncoderEngines>> engines_;
};

}  // namespace nmt_trt
