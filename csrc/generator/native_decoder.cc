#include "generator/native_decoder.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "core/errors.h"
#include "cuda/check.h"
#include "generator/layout.h"

namespace nmt_trt {
namespace {

/// A tensor of the weights file, and its place in device memory.
struct Tensor {
  std::string name;
  Shape shape;
  DataType stored;
  DataType kept;
  size_t offset;

  size_t count() const {
    size_t count = 1;
    for (const int64_t extent : shape) count *= static_cast<size_t>(extent);
    return count;
  }
};

/// Names the tensors that a decoder is made of, in the weights file as on the device. Its pointers are
/// offsets from `memory`: they mean something in a description that is made when the memory is there.
class Description {
 public:
  Description(const NativeSource& source, const Exponents& exponents, const ModelShape& shape,
              const void* memory)
      : source_(source),
        exponents_(exponents),
        shape_(shape),
        hidden_(shape.heads * shape.head_size),
        memory_(reinterpret_cast<uintptr_t>(memory)) {}

  NativeParts describe() {
    NativeParts parts;
    parts.embedding = embedding();
    for (int32_t index = 0; index < shape_.layers; ++index) {
      parts.layers.push_back(layer("decoder.layers." + std::to_string(index)));
    }
    parts.final_norm = source_.final_norm ? norm("decoder.norm") : cuda::Norm{};
    parts.output = output();
    return parts;
  }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  size_t bytes() const { return layout_.bytes(); }

 private:
  cuda::Embedding embedding() {
    const void* table = add(source_.token_table, {shape_.vocab_size, hidden_}, source_.type, source_.type);
    const float* positions =
        floats("decoder.embedding.position.weight", {shape_.max_positions, hidden_}, DataType::kFloat32);
    const cuda::Norm embedded = source_.embedding_norm ? norm("decoder.embedding.norm") : cuda::Norm{};
    return {table, positions, source_.embedding_scale, embedded, hidden_};
  }

  NativeLayer layer(const std::string& name) {
    const std::string feed_forward = name + ".ffn";
    // relu of values times a power of two is that power times relu.
    const bool plain = source_.activation == cuda::Activation::kRelu;
    const int32_t exponent = plain ? 0 : exponent_of(feed_forward + ".in_");
    return {block(name + ".self_attention", "qkv", 3 * hidden_, hidden_),
            block(name + ".cross_attention", "q", hidden_, hidden_),
            block(feed_forward, "in_", source_.inner_size, source_.inner_size),
            {source_.activation, power(exponent), power(-exponent)}};
  }

  /// asked, given: columns that the first linear layer gives, and that the second one reads.
  NativeBlock block(const std::string& name, const char* in, int32_t asked, int32_t given) {
    return {norm(name + ".norm"), linear(name + "." + in, hidden_, asked, source_.type),
            linear(name + ".out", given, hidden_, DataType::kFloat32), power(-exponent_of(name + ".input")),
            power(exponent_of(name + ".out"))};
  }

  NativeOutput output() {
    const void* table =
        source_.output_table == source_.token_table
            ? pointer(tensors_.front())
            : add(source_.output_table, {shape_.vocab_size, hidden_}, source_.type, source_.type);
    const float* bias = floats("output.bias", {shape_.vocab_size}, DataType::kFloat32);
    const int32_t exponent = exponent_of("output");
    return {{table, bias, hidden_, shape_.vocab_size}, power(-exponent), power(exponent)};
  }

  cuda::Norm norm(const std::string& name) {
    const float* gain = floats(name + ".weight", {hidden_}, DataType::kFloat32);
    return {gain, floats(name + ".bias", {hidden_}, DataType::kFloat32), source_.norm_epsilon};
  }

  cuda::Linear linear(const std::string& name, int32_t inputs, int32_t outputs, DataType bias) {
    const void* weight = add(name + ".weight", {outputs, inputs}, source_.type, source_.type);
    return {weight, floats(name + ".bias", {outputs}, bias), inputs, outputs};
  }

  const float* floats(const std::string& name, const Shape& shape, DataType stored) {
    return static_cast<const float*>(add(name, shape, stored, DataType::kFloat32));
  }

  const void* add(const std::string& name, const Shape& shape, DataType stored, DataType kept) {
    Tensor tensor = {name, shape, stored, kept, 0};
    tensor.offset = layout_.add(tensor.count() * size_of(kept));
    tensors_.push_back(std::move(tensor));
    return pointer(tensors_.back());
  }

  const void* pointer(const Tensor& tensor) const {
    return reinterpret_cast<const void*>(memory_ + tensor.offset);
  }

  int32_t exponent_of(const std::string& key) const {
    const auto found = exponents_.find(key);
    return found == exponents_.end() ? 0 : found->second;
  }
  static float power(int32_t exponent) { return std::ldexp(1.0F, exponent); }

  const NativeSource& source_;
  const Exponents& exponents_;
  const ModelShape& shape_;
  int32_t hidden_;
  uintptr_t memory_;
  Layout layout_;
  std::vector<Tensor> tensors_;
};

template <typename Stored, typename Convert>
std::string converted(const std::string& bytes, Convert convert) {
  std::string floats(bytes.size() / sizeof(Stored) * sizeof(float), '\0');
  for (size_t i = 0; i < bytes.size() / sizeof(Stored); ++i) {
    Stored stored;
    std::memcpy(&stored, &bytes[i * sizeof(Stored)], sizeof(stored));
    const float value = convert(stored);
    std::memcpy(&floats[i * sizeof(float)], &value, sizeof(value));
  }
  return floats;
}

std::string to_floats(std::string bytes, DataType stored) {
  switch (stored) {
    case DataType::kFloat16:
      return converted<__half>(bytes, [](__half value) { return __half2float(value); });
    case DataType::kBFloat16:
      return converted<__nv_bfloat16>(bytes, [](__nv_bfloat16 value) { return __bfloat162float(value); });
    default:
      return bytes;
  }
}

/// A tensor's bytes as the device keeps them.
std::string read(const NativeSource& source, const Tensor& tensor) {
  std::string bytes = source.weights(tensor.name);
  const size_t wanted = tensor.count() * size_of(tensor.stored);
  if (bytes.size() != wanted) {
    throw EngineError("the weights are of another model: " + tensor.name + " has " +
                      std::to_string(bytes.size()) + " bytes and should have " + std::to_string(wanted) +
                      ", " + name_of(tensor.stored) + " " + to_string(tensor.shape));
  }
  return tensor.stored == tensor.kept ? std::move(bytes) : to_floats(std::move(bytes), tensor.stored);
}

}  // namespace

NativeDecoder::NativeDecoder(const NativeSource& source, const ModelShape& shape, cudaStream_t stream) {
  const Exponents exponents = source.exponents();
  Description sizes(source, exponents, shape, nullptr);
  sizes.describe();
  memory_ = cuda::DeviceBuffer(sizes.bytes());
  Description description(source, exponents, shape, memory_.data());
  parts_ = description.describe();
  for (const Tensor& tensor : description.tensors()) {
    const std::string bytes = read(source, tensor);
    NMT_TRT_CUDA(cudaMemcpyAsync(at<void>(memory_, tensor.offset), bytes.data(), bytes.size(),
                                 cudaMemcpyHostToDevice, stream));
    NMT_TRT_CUDA(cudaStreamSynchronize(stream));  // while the bytes are there
  }
}

}  // namespace nmt_trt
