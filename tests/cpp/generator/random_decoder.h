#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "generator/model_shape.h"
#include "generator/native_source.h"

namespace nmt_trt::testing {

/// What decoders differ in.
struct Architecture {
  int32_t layers;
  bool pre_norm, final_norm, embedding_norm, tied;
  cuda::Activation activation;
};

using Row = std::vector<double>;
using Rows = std::vector<Row>;
using Tensors = std::map<std::string, std::vector<float>>;

/// A small decoder with random weights, and the same as a weights file has it, with a random power of two for
/// everything that can have one.
class RandomDecoder {
 public:
  static constexpr int32_t kHeads = 2, kHeadSize = 4, kHidden = kHeads * kHeadSize, kInner = 12;
  static constexpr int32_t kVocabulary = 7, kPositions = 5;
  static constexpr float kScale = 3.0F, kEpsilon = 1e-3F;

  RandomDecoder(const Architecture& architecture, uint32_t seed);

  const Architecture& architecture() const { return architecture_; }
  ModelShape shape() const;
  /// In float32, but for the name of the type.
  NativeSource source() const;
  const std::string& output_table() const { return output_table_; }
  /// Without powers of two.
  const std::vector<float>& weight(const std::string& name) const { return weights_.at(name); }
  /// What a tensor of this key is multiplied by.
  float power(const std::string& key) const;

 private:
  void add(const std::string& name, int32_t count);
  void add_norm(const std::string& name);
  /// given: the key of its input; outputs: those of its rows' equal parts.
  void add_linear(const std::string& name, const std::string& given, const std::vector<std::string>& outputs,
                  int32_t columns, int32_t rows);
  void add_layer(const std::string& name);

  Architecture architecture_;
  std::string output_table_;
  std::mt19937 random_;
  Tensors weights_, stored_;
  Exponents exponents_;
};

/// A decoder step of several rows as the model is described: norm(x + f(x)), or x + f(norm(x)).
class ReferenceStep {
 public:
  ReferenceStep(const RandomDecoder& model, const std::vector<int32_t>& tokens, int32_t position);

  /// What a block's first linear layer gives. block: "decoder.layers.0.self_attention"
  Rows enter(const std::string& block, const std::string& layer) const;
  /// The residual sum with what its last linear layer makes of `inner`.
  void leave(const std::string& block, const Rows& inner);
  void feed_forward(const std::string& block);
  Rows logits() const;

 private:
  const RandomDecoder& model_;
  Rows stream_;
};

}  // namespace nmt_trt::testing
