#include "toy_model.h"

#include <cstring>
#include <limits>
#include <utility>

namespace nmt_trt::testing::toy {
namespace {

constexpr float kNever = 10000.0F;
constexpr float kSurely = 30.0F;

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

}  // namespace

float mix(float a, float b) {
  uint32_t hash = bits_of(a) * 0x9E3779B1U + bits_of(b);
  hash = (hash ^ (hash >> 15U)) * 0x2C1B3C6DU;
  hash = (hash ^ (hash >> 12U)) * 0x297A2D39U;
  hash ^= hash >> 15U;
  return static_cast<float>(hash >> 8U);
}

Residual embed(int32_t token, int32_t position, const Model& model) {
  const auto t = static_cast<float>(token);
  const auto p = static_cast<float>(position);
  return {mix(mix(t, p), static_cast<float>(model.number)), t, p, 0.0F};
}

// Keys and values of a layer see what the layers before made of the whole sentence so far.
float self_key(const Residual& residual, int32_t layer, int32_t i) {
  return mix(mix(residual.hash, residual.token), static_cast<float>(2 * (layer * kHidden + i)));
}
float self_value(const Residual& residual, int32_t layer, int32_t i) {
  return mix(mix(residual.hash, residual.position), static_cast<float>(2 * (layer * kHidden + i) + 1));
}

float cross_key(const Residual& source, int32_t layer, int32_t i) {
  return mix(mix(source.hash, source.token), static_cast<float>((kLayers + layer) * kHidden + i));
}
// The first element of each head tells the token.
float cross_value(const Residual& source, int32_t layer, int32_t i) {
  return i % kHeadSize == 0 ? source.token : mix(cross_key(source, layer, i), source.position);
}

Hidden query(const Residual& residual) {
  Hidden asked;
  for (size_t i = 0; i < asked.size(); ++i) asked[i] = mix(residual.hash, static_cast<float>(i));
  return asked;
}

void write_qkv(const Residual& residual, int32_t layer, float* qkv) {
  const Hidden asked = query(residual);
  for (int32_t i = 0; i < kHidden; ++i) {
    qkv[i] = asked[static_cast<size_t>(i)];
    qkv[kHidden + i] = self_key(residual, layer, i);
    qkv[2 * kHidden + i] = self_value(residual, layer, i);
  }
}

Residual add_self(const Residual& residual, const Hidden& attention) {
  Residual sum = residual;
  for (const float value : attention) sum.hash = mix(sum.hash, value);
  return sum;
}

Residual add_cross(const Residual& residual, const Hidden& attention) {
  Residual sum = add_self(residual, attention);
  sum.end = attention.back();
  return sum;
}

float logit(const Residual& residual, int32_t token) {
  if (residual.end == static_cast<float>(kBadSource)) return std::numeric_limits<float>::quiet_NaN();
  if (token == kPad) return -kNever;
  if (token == kEos) return residual.position + 1 < residual.end ? -kNever : kSurely;
  return mix(residual.hash, static_cast<float>(token)) * 0x1p-23F;
}

std::vector<Residual> encode(const std::vector<int32_t>& source, const Model& model) {
  std::vector<Residual> residuals;
  for (const int32_t token : source)
    residuals.push_back(embed(token, static_cast<int32_t>(residuals.size()), model));
  std::vector<Residual> encoded;
  for (const Residual& residual : residuals) {
    const Hidden asked = query(residual);
    Hidden out;
    for (int32_t first = 0; first < kHidden; first += kHeadSize) {
      Attention attention(&asked[static_cast<size_t>(first)]);
      for (const Residual& other : residuals) {
        const float key[] = {self_key(other, 0, first), self_key(other, 0, first + 1)};
        const float value[] = {self_value(other, 0, first), self_value(other, 0, first + 1)};
        attention.look_at(key, value);
      }
      attention.write(&out[static_cast<size_t>(first)]);
    }
    encoded.push_back(add_self(residual, out));
  }
  return encoded;
}

Prefix::Prefix(const std::vector<Residual>& source, std::shared_ptr<const Prefix> before, int32_t token,
               const Model& model)
    : before_(std::move(before)), length_(before_ ? before_->length_ + 1 : 1) {
  std::vector<const Prefix*> history(static_cast<size_t>(length_));
  const Prefix* prefix = this;
  for (auto place = history.rbegin(); place != history.rend(); ++place) {
    *place = prefix;
    prefix = prefix->before_.get();
  }
  residual_ = embed(token, length_ - 1, model);
  for (int32_t layer = 0; layer < model.layers; ++layer) {
    const auto l = static_cast<size_t>(layer);
    for (int32_t i = 0; i < kHidden; ++i) {
      keys_[l][static_cast<size_t>(i)] = self_key(residual_, layer, i);
      values_[l][static_cast<size_t>(i)] = self_value(residual_, layer, i);
    }
    residual_ = add_self(residual_, self_attention(history, l));
    if (layer == model.layers - 1) attention_ = weights(source, layer);
    residual_ = add_cross(residual_, cross_attention(source, layer));
  }
}

Hidden Prefix::self_attention(const std::vector<const Prefix*>& history, size_t layer) const {
  const Hidden asked = query(residual_);
  Hidden out;
  for (size_t first = 0; first < out.size(); first += kHeadSize) {
    Attention attention(&asked[first]);
    for (const Prefix* prefix : history) {
      attention.look_at(&prefix->keys_[layer][first], &prefix->values_[layer][first]);
    }
    attention.write(&out[first]);
  }
  return out;
}

Hidden Prefix::cross_attention(const std::vector<Residual>& source, int32_t layer) const {
  const Hidden asked = query(residual_);
  Hidden out;
  for (int32_t first = 0; first < kHidden; first += kHeadSize) {
    Attention attention(&asked[static_cast<size_t>(first)]);
    for (const Residual& token : source) {
      const float key[] = {cross_key(token, layer, first), cross_key(token, layer, first + 1)};
      const float value[] = {cross_value(token, layer, first), cross_value(token, layer, first + 1)};
      attention.look_at(key, value);
    }
    attention.write(&out[static_cast<size_t>(first)]);
  }
  return out;
}

std::vector<float> Prefix::weights(const std::vector<Residual>& source, int32_t layer) const {
  const Hidden asked = query(residual_);
  std::vector<float> sums(source.size(), 0.0F);
  for (int32_t first = 0; first < kHidden; first += kHeadSize) {
    for (size_t position = 0; position < source.size(); ++position) {
      const float key[] = {cross_key(source[position], layer, first),
                           cross_key(source[position], layer, first + 1)};
      sums[position] += weight(&asked[static_cast<size_t>(first)], key);
    }
  }
  return sums;
}

std::vector<float> Prefix::logits() const {
  std::vector<float> row;
  for (int32_t token = 0; token < kVocabulary; ++token) row.push_back(logit(residual_, token));
  return row;
}

}  // namespace nmt_trt::testing::toy
