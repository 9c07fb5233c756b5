#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "bindings/callback.h"
#include "bindings/register.h"
#include "core/errors.h"
#include "generator/native_source.h"

namespace nmt_trt::bindings {
namespace {

namespace py = pybind11;

DataType type_named(const std::string& name) {
  for (const DataType type : {DataType::kFloat16, DataType::kBFloat16}) {
    if (name == name_of(type)) return type;
  }
  throw UsageError("type", "'float16' or 'bfloat16'", "'" + name + "'");
}

cuda::Activation activation_named(const std::string& name) {
  if (name == "relu") return cuda::Activation::kRelu;
  if (name == "gelu") return cuda::Activation::kGelu;
  if (name == "swish") return cuda::Activation::kSwish;
  throw UsageError("activation", "'relu', 'gelu' or 'swish'", "'" + name + "'");
}

NativeSource make_native_decoder(py::object weight_provider, py::object exponent_provider,
                                 const std::string& type, int32_t inner_size, const std::string& activation,
                                 bool pre_norm, bool final_norm, bool embedding_norm, float embedding_scale,
                                 float norm_epsilon, std::string token_table, std::string output_table,
                                 int32_t max_rows) {
  const Callback weights(std::move(weight_provider));
  const Callback exponents(std::move(exponent_provider));
  return {[weights](const std::string& tensor) { return weights.call<std::string>(tensor); },
          [exponents] { return exponents.call<Exponents>(); },
          type_named(type),
          inner_size,
          activation_named(activation),
          pre_norm,
          final_norm,
          embedding_norm,
          embedding_scale,
          norm_epsilon,
          std::move(token_table),
          std::move(output_table),
          max_rows};
}

constexpr const char* kDoc =
    R"(A decoder that runs on kernels of this package instead of TensorRT's, in a type of 16 bits.)";

constexpr const char* kInitDoc =
    R"(weight_provider(tensor) returns the bytes of a tensor of the weights file, by its canonical name and as stored:
norms, positions and the biases of `out` and `output` float32, everything else of `type`, "float16" or "bfloat16".
exponent_provider() returns the exponents of the powers of two that those weights carry, by Islands' keys. Both are called
when the decoder is first needed. inner_size: outputs of a feed-forward block's first layer. embedding_scale: what token
embeddings are multiplied by. token_table, output_table: tensors [vocab_size, hidden], maybe the same. max_rows: most rows of
a batch, sentences times beam size.

Raises UsageError for an unknown type or activation.)";

}  // namespace

void register_native_decoder(py::module_& module) {
  using py::arg;
  py::class_<NativeSource>(module, "NativeDecoder", kDoc)
      .def(py::init(&make_native_decoder), py::kw_only(), arg("weight_provider"), arg("exponent_provider"),
           arg("type"), arg("inner_size"), arg("activation"), arg("pre_norm"), arg("final_norm"),
           arg("embedding_norm"), arg("embedding_scale"), arg("norm_epsilon"), arg("token_table"),
           arg("output_table"), arg("max_rows"), kInitDoc);
}

}  // namespace nmt_trt::bindings
