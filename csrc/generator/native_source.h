#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "core/engine.h"
#include "cuda/linear.h"

namespace nmt_trt {

/// The bytes of a tensor of the model's weights file in the decoder's precision, as they are stored: of
/// NativeSource::type, or of float32 where that precision keeps it (norms, positions, biases whose layer
/// gives a float32 result).
using WeightProvider = std::function<std::string(const std::string& tensor)>;

/// The powers of two that the weights in the file carry, by what they are of: a tensor t is kept as t * 2^-e;
/// 0 for what is absent.
using Exponents = std::map<std::string, int32_t>;

/// A decoder for kernels of ours, as the caller gives it.
struct NativeSource {
  WeightProvider weights;
  /// Asked once, before the weights.
  std::function<Exponents()> exponents;
  /// Of linear layers, attention and tables.
  DataType type;
  int32_t inner_size;
  cuda::Activation activation;
  bool pre_norm, final_norm, embedding_norm;
  /// What token embeddings are multiplied by.
  float embedding_scale;
  float norm_epsilon;
  /// Tensors of the token embedding and of the output projection, possibly the same.
  std::string token_table, output_table;
  /// Most rows of a batch: sentences times beam size.
  int32_t max_rows;
};

}  // namespace nmt_trt
