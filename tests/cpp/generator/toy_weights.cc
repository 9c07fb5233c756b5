#include "toy_weights.h"

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "core/errors.h"

namespace nmt_trt::testing::toy {
namespace {

using Tensors = std::map<std::string, std::vector<float>>;

size_t size(int32_t count) { return static_cast<size_t>(count); }

void add_norm(Tensors& tensors, const std::string& name) {
  tensors[name + ".weight"] = std::vector<float>(kHidden, 1.0F);
  tensors[name + ".bias"] = std::vector<float>(kHidden, 0.0F);
}

void add_linear(Tensors& tensors, const std::string& name, Role role, int32_t layer, int32_t inputs,
                int32_t outputs) {
  std::vector<float>& weight = tensors[name + ".weight"];
  weight.resize(size(inputs * outputs));
  weight[0] = static_cast<float>(role);
  weight[1] = static_cast<float>(layer);
  tensors[name + ".bias"].resize(size(outputs));
}

void add_layer(Tensors& tensors, int32_t index) {
  const std::string name = "decoder.layers." + std::to_string(index);
  add_linear(tensors, name + ".self_attention.qkv", Role::kQkv, index, kHidden, 3 * kHidden);
  add_linear(tensors, name + ".self_attention.out", Role::kSelfOut, index, kHidden, kHidden);
  add_linear(tensors, name + ".cross_attention.q", Role::kQuery, index, kHidden, kHidden);
  add_linear(tensors, name + ".cross_attention.out", Role::kCrossOut, index, kHidden, kHidden);
  add_linear(tensors, name + ".ffn.in_", Role::kInnerIn, index, kHidden, kInner);
  add_linear(tensors, name + ".ffn.out", Role::kInnerOut, index, kInner, kHidden);
  for (const char* block : {".self_attention.norm", ".cross_attention.norm", ".ffn.norm"}) {
    add_norm(tensors, name + block);
  }
}

Tensors tensors_of(const Model& model) {
  Tensors tensors;
  for (int32_t token = 0; token < kVocabulary; ++token) {
    for (const int32_t value : {token, model.number, 0, 0}) {
      tensors["tokens"].push_back(static_cast<float>(value));
    }
  }
  for (int32_t position = 0; position < kShape.max_positions; ++position) {
    for (const int32_t value : {position, 0, 0, 0}) {
      tensors["decoder.embedding.position.weight"].push_back(static_cast<float>(value));
    }
  }
  for (int32_t layer = 0; layer < model.layers; ++layer) add_layer(tensors, layer);
  add_norm(tensors, "decoder.norm");
  tensors["logits"].resize(size(kVocabulary * kHidden));
  tensors["logits"][0] = static_cast<float>(Role::kLogits);
  tensors["output.bias"].resize(kVocabulary);
  return tensors;
}

}  // namespace

NativeSource native_source(const Model& model, DataType type, int32_t max_rows, bool pre_norm) {
  const auto weights = [model](const std::string& name) {
    const Tensors tensors = tensors_of(model);
    const auto found = tensors.find(name);
    if (found == tensors.end()) throw EngineError("no tensor " + name);
    std::string bytes(found->second.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), found->second.data(), bytes.size());
    return bytes;
  };
  return {weights,
          [] { return Exponents(); },
          type,
          kInner,
          cuda::Activation::kGelu,
          pre_norm,
          pre_norm,
          false,
          1.0F,
          1e-5F,
          "tokens",
          "logits",
          max_rows};
}

}  // namespace nmt_trt::testing::toy
