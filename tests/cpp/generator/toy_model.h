#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "generator/model_shape.h"

namespace nmt_trt::testing {

/// A model that looks at everything and forgets nothing: each of its logits changes with any token, position,
/// key, value and source token, and with their order. A sentence that got another's row, lost a part of its
/// cache or was given another's history cannot have the right result.
///
/// The first token of a source tells after how many tokens it ends; kBadSource makes logits of NaN.
namespace toy {

inline constexpr int32_t kLayers = 2;
inline constexpr int32_t kHeads = 2;
inline constexpr int32_t kHeadSize = 2;
inline constexpr int32_t kHidden = kHeads * kHeadSize;
inline constexpr int32_t kVocabulary = 16;
inline constexpr int32_t kPad = 0;
inline constexpr int32_t kBos = 1;
inline constexpr int32_t kEos = 2;
inline constexpr int32_t kBadSource = 999;
inline constexpr int32_t kEncoderLayers = 1;
inline constexpr ModelShape kShape = {kLayers, kHeads,      kHeadSize,  kEncoderLayers, kHeads, kHeadSize,
                                      false,   kVocabulary, 160,        kEos,           kPad,   kBos,
                                      64,      64,          kLayers - 1};

using Hidden = std::array<float, kHidden>;

/// What flows past the attentions.
struct Residual {
  float hash;
  float token;
  float position;
  float end;  // after how many tokens
};
static_assert(sizeof(Residual) == sizeof(Hidden));

/// One of several such models, which are deep in different degrees and agree on nothing but the ends.
struct Model {
  int32_t number = 0;
  int32_t layers = kLayers;  // of the decoder, kLayers at most
};

/// A number that hardly any other two give.
float mix(float a, float b);

Residual embed(int32_t token, int32_t position, const Model& model);
/// Of generated tokens or of the source, behind its self-attention; element `i` of all heads.
float self_key(const Residual& residual, int32_t layer, int32_t i);
float self_value(const Residual& residual, int32_t layer, int32_t i);
float cross_key(const Residual& source, int32_t layer, int32_t i);
float cross_value(const Residual& source, int32_t layer, int32_t i);
Hidden query(const Residual& residual);
/// Queries, keys and values of self-attention, [3 * kHidden].
void write_qkv(const Residual& residual, int32_t layer, float* qkv);
/// The residual behind self-attention, and behind cross-attention.
Residual add_self(const Residual& residual, const Hidden& attention);
Residual add_cross(const Residual& residual, const Hidden& attention);
float logit(const Residual& residual, int32_t token);

/// What a head attends to a source token with. query, key: [kHeadSize]
inline float weight(const float* query, const float* key) {
  return mix(mix(query[0], query[1]), mix(key[0], key[1])) * 0x1p-28F;
}

/// One head's attention: a sum that depends on the order.
class Attention {
 public:
  explicit Attention(const float* query) : hash_(mix(query[0], query[1])) {}

  /// key, value: [kHeadSize]
  void look_at(const float* key, const float* value) {
    if (empty_) first_ = value[0];
    empty_ = false;
    for (int32_t i = 0; i < kHeadSize; ++i) hash_ = mix(mix(hash_, key[i]), value[i]);
  }
  /// out: [kHeadSize]
  void write(float* out) const {
    out[0] = hash_;
    out[1] = first_;
  }

 private:
  float hash_;
  float first_ = 0;
  bool empty_ = true;
};

/// What the encoder makes of a source, without rows.
std::vector<Residual> encode(const std::vector<int32_t>& source, const Model& model);

/// The beginning of a translation, the start token among it: what the logits behind it must be, without rows,
/// slots or caches.
class Prefix {
 public:
  Prefix(const std::vector<Residual>& source, std::shared_ptr<const Prefix> before, int32_t token,
         const Model& model);

  std::vector<float> logits() const;
  /// The weights of the last layer, added up over the heads: [source].
  const std::vector<float>& attention() const { return attention_; }

 private:
  Hidden self_attention(const std::vector<const Prefix*>& history, size_t layer) const;
  Hidden cross_attention(const std::vector<Residual>& source, int32_t layer) const;
  std::vector<float> weights(const std::vector<Residual>& source, int32_t layer) const;

  std::shared_ptr<const Prefix> before_;
  int32_t length_;
  Hidden keys_[kLayers];
  Hidden values_[kLayers];
  Residual residual_;
  std::vector<float> attention_;
};

}  // namespace toy
}  // namespace nmt_trt::testing
