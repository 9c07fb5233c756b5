#include "random_decoder.h"

#include <cmath>
#include <cstring>
#include <numeric>

namespace nmt_trt::testing {
namespace {

size_t size(int32_t count) { return static_cast<size_t>(count); }

/// Multiplies the equal parts of a tensor by a factor each.
std::vector<float> scaled(std::vector<float> values, const std::vector<float>& factors) {
  const size_t part = values.size() / factors.size();
  for (size_t i = 0; i < values.size(); ++i) values[i] *= factors[i / part];
  return values;
}

Row linear(const RandomDecoder& model, const std::string& weight, const std::string& bias, const Row& x) {
  const std::vector<float>& matrix = model.weight(weight);
  const std::vector<float>& offsets = model.weight(bias);
  Row y;
  for (size_t row = 0; row < offsets.size(); ++row) {
    y.push_back(std::inner_product(x.begin(), x.end(),
                                   matrix.begin() + static_cast<ptrdiff_t>(row * x.size()),
                                   static_cast<double>(offsets[row])));
  }
  return y;
}

Row norm(const RandomDecoder& model, const std::string& name, const Row& x) {
  const double count = static_cast<double>(x.size());
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / count;
  const double squares = std::inner_product(x.begin(), x.end(), x.begin(), 0.0) / count;
  Row y;
  for (size_t i = 0; i < x.size(); ++i) {
    const double z = (x[i] - mean) / std::sqrt(squares - mean * mean + RandomDecoder::kEpsilon);
    y.push_back(z * model.weight(name + ".weight")[i] + model.weight(name + ".bias")[i]);
  }
  return y;
}

double activated(double x, cuda::Activation activation) {
  if (activation == cuda::Activation::kRelu) return std::fmax(x, 0.0);
  if (activation == cuda::Activation::kSwish) return x / (1.0 + std::exp(-x));
  return 0.5 * x * (1.0 + std::erf(x * std::sqrt(0.5)));
}

}  // namespace

RandomDecoder::RandomDecoder(const Architecture& architecture, uint32_t seed)
    : architecture_(architecture), output_table_(architecture.tied ? "tokens" : "table"), random_(seed) {
  add("tokens", kVocabulary * kHidden);
  add("decoder.embedding.position.weight", kPositions * kHidden);
  if (architecture.embedding_norm) add_norm("decoder.embedding.norm");
  for (int32_t index = 0; index < architecture.layers; ++index) {
    add_layer("decoder.layers." + std::to_string(index));
  }
  if (architecture.final_norm) add_norm("decoder.norm");
  if (!architecture.tied) add(output_table_, kVocabulary * kHidden);
  add("output.bias", kVocabulary);
  exponents_["output"] = 3;
  stored_["output.bias"] = scaled(weight("output.bias"), {1 / power("output")});
}

float RandomDecoder::power(const std::string& key) const { return std::ldexp(1.0F, exponents_.at(key)); }

void RandomDecoder::add(const std::string& name, int32_t count) {
  std::normal_distribution<float> normal;
  std::vector<float>& values = weights_[name];
  for (int32_t i = 0; i < count; ++i) values.push_back(normal(random_));
  stored_[name] = values;
}

void RandomDecoder::add_norm(const std::string& name) {
  add(name + ".weight", kHidden);
  add(name + ".bias", kHidden);
}

void RandomDecoder::add_linear(const std::string& name, const std::string& given,
                               const std::vector<std::string>& outputs, int32_t columns, int32_t rows) {
  for (const std::string& key : outputs) exponents_[key] = static_cast<int32_t>(random_() % 9) - 4;
  exponents_.try_emplace(given, static_cast<int32_t>(random_() % 9) - 4);
  add(name + ".weight", rows * columns);
  add(name + ".bias", rows);
  std::vector<float> of_weight, of_bias;
  for (const std::string& key : outputs) {
    of_weight.push_back(power(given) / power(key));
    of_bias.push_back(1 / power(key));
  }
  stored_[name + ".weight"] = scaled(weight(name + ".weight"), of_weight);
  stored_[name + ".bias"] = scaled(weight(name + ".bias"), of_bias);
}

void RandomDecoder::add_layer(const std::string& name) {
  const std::string self = name + ".self_attention";
  const std::string cross = name + ".cross_attention";
  const std::string ffn = name + ".ffn";
  add_linear(self + ".qkv", self + ".input", {self + ".q", self + ".k", self + ".v"}, kHidden, 3 * kHidden);
  add_linear(self + ".out", self + ".v", {self + ".out"}, kHidden, kHidden);
  add_linear(cross + ".q", cross + ".input", {cross + ".q"}, kHidden, kHidden);
  add_linear(cross + ".out", cross + ".v", {cross + ".out"}, kHidden, kHidden);
  add_linear(ffn + ".in_", ffn + ".input", {ffn + ".in_"}, kHidden, kInner);
  add_linear(ffn + ".out", ffn + ".in_", {ffn + ".out"}, kInner, kHidden);
  for (const std::string& block : {self, cross, ffn}) add_norm(block + ".norm");
}

ModelShape RandomDecoder::shape() const {
  ModelShape shape = {};
  shape.layers = architecture_.layers;
  shape.heads = kHeads;
  shape.head_size = kHeadSize;
  shape.vocab_size = kVocabulary;
  shape.max_positions = kPositions;
  return shape;
}

NativeSource RandomDecoder::source() const {
  NativeSource source = {};
  source.weights = [this](const std::string& name) {
    const std::vector<float>& values = stored_.at(name);
    std::string bytes(values.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  };
  source.exponents = [this] { return exponents_; };
  source.type = DataType::kFloat32;
  source.inner_size = kInner;
  source.activation = architecture_.activation;
  source.pre_norm = architecture_.pre_norm;
  source.final_norm = architecture_.final_norm;
  source.embedding_norm = architecture_.embedding_norm;
  source.embedding_scale = kScale;
  source.norm_epsilon = kEpsilon;
  source.token_table = "tokens";
  source.output_table = output_table_;
  return source;
}

ReferenceStep::ReferenceStep(const RandomDecoder& model, const std::vector<int32_t>& tokens, int32_t position)
    : model_(model) {
  for (const int32_t token : tokens) {
    Row x;
    for (int32_t i = 0; i < RandomDecoder::kHidden; ++i) {
      x.push_back(
          RandomDecoder::kScale * model.weight("tokens")[size(token * RandomDecoder::kHidden + i)] +
          model.weight("decoder.embedding.position.weight")[size(position * RandomDecoder::kHidden + i)]);
    }
    stream_.push_back(model.architecture().embedding_norm ? norm(model, "decoder.embedding.norm", x) : x);
  }
}

Rows ReferenceStep::enter(const std::string& block, const std::string& layer) const {
  Rows given;
  for (const Row& x : stream_) {
    const Row input = model_.architecture().pre_norm ? norm(model_, block + ".norm", x) : x;
    given.push_back(linear(model_, layer + ".weight", layer + ".bias", input));
  }
  return given;
}

void ReferenceStep::leave(const std::string& block, const Rows& inner) {
  for (size_t row = 0; row < stream_.size(); ++row) {
    Row& x = stream_[row];
    const Row given = linear(model_, block + ".out.weight", block + ".out.bias", inner[row]);
    for (size_t i = 0; i < x.size(); ++i) x[i] += given[i];
    if (!model_.architecture().pre_norm) x = norm(model_, block + ".norm", x);
  }
}

void ReferenceStep::feed_forward(const std::string& block) {
  Rows hidden = enter(block, block + ".in_");
  for (Row& row : hidden) {
    for (double& value : row) value = activated(value, model_.architecture().activation);
  }
  leave(block, hidden);
}

Rows ReferenceStep::logits() const {
  Rows logits;
  for (const Row& x : stream_) {
    const Row last = model_.architecture().final_norm ? norm(model_, "decoder.norm", x) : x;
    logits.push_back(linear(model_, model_.output_table(), "output.bias", last));
  }
  return logits;
}

}  // namespace nmt_trt::testing
