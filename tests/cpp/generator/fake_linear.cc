// cuda/linear.h on the fake device, for the toy model: what a layer does is what its weight says it is for.
#include "cuda/linear.h"

#include <algorithm>
#include <string>

#include "fake_device.h"
#include "fake_launch.h"
#include "toy_model.h"
#include "toy_weights.h"

namespace nmt_trt::cuda {
namespace {

using testing::device;
using testing::launch;
namespace toy = testing::toy;
using toy::Role;

constexpr float kGarbage = -1e30F;

Role role_of(const Linear& linear) {
  return static_cast<Role>(static_cast<int32_t>(*static_cast<const float*>(linear.weight)));
}

int32_t layer_of(const Linear& linear) {
  return static_cast<int32_t>(static_cast<const float*>(linear.weight)[1]);
}

/// Of these extents, in a type that the toy model's attention takes, and without factors.
void check(const Linear& linear, int32_t inputs, int32_t outputs, float factor, DataType type) {
  if (linear.inputs != inputs || linear.outputs != outputs || factor != 1.0F || type != DataType::kFloat32) {
    device().forbid("linear layer " + std::to_string(static_cast<int32_t>(role_of(linear))) +
                    " is not what it should be");
  }
}

void keep(const Normalized& input, int32_t row) {
  if (input.kept == nullptr) return;
  std::copy_n(input.stream + row * toy::kHidden, toy::kHidden, input.kept + row * toy::kHidden);
}

void write_inner(const toy::Residual& residual, float* inner) {
  std::fill_n(inner, toy::kInner, 0.0F);
  *reinterpret_cast<toy::Residual*>(inner) = residual;
}

void write_linear(const toy::Residual& residual, const Linear& linear, float* out) {
  switch (role_of(linear)) {
    case Role::kQkv:
      return toy::write_qkv(residual, layer_of(linear), out);
    case Role::kQuery:
      *reinterpret_cast<toy::Hidden*>(out) = toy::query(residual);
      return;
    case Role::kInnerIn:
      return write_inner(residual, out);
    default:
      device().forbid("a linear layer stands where another should");
  }
}

toy::Residual sum_of(const toy::Residual& residual, const Linear& linear, const float* x) {
  const toy::Hidden& given = *reinterpret_cast<const toy::Hidden*>(x);
  switch (role_of(linear)) {
    case Role::kSelfOut:
      return toy::add_self(residual, given);
    case Role::kCrossOut:
      return toy::add_cross(residual, given);
    case Role::kInnerOut:
      if (x[0] != residual.hash) device().forbid("a feed-forward block reads another's values");
      return residual;
    default:
      device().forbid("a linear layer stands where another should");
      return residual;
  }
}

}  // namespace

void embed_tokens(const Embedding& embedding, const int32_t* token, const int32_t* position, float* out,
                  int32_t rows, DataType /*type*/, cudaStream_t stream) {
  launch(stream, [=] {
    const float* place = embedding.positions + *position * toy::kHidden;
    for (int32_t row = 0; row < rows; ++row) {
      const float* entry = static_cast<const float*>(embedding.table) + token[row] * toy::kHidden;
      const toy::Model model = {static_cast<int32_t>(entry[1]), toy::kLayers};
      reinterpret_cast<toy::Residual*>(out)[row] =
          toy::embed(static_cast<int32_t>(entry[0]), static_cast<int32_t>(place[0]), model);
    }
  });
}

void normalized_linear(const Normalized& input, const Linear& linear, const Activated& activated,
                       void* scratch, void* out, int32_t rows, DataType type, cudaStream_t stream) {
  launch(stream, [=] {
    const int32_t outputs = role_of(linear) == Role::kQkv     ? 3 * toy::kHidden
                            : role_of(linear) == Role::kQuery ? toy::kHidden
                                                              : toy::kInner;
    check(linear, toy::kHidden, outputs, input.factor * activated.before * activated.after, type);
    std::fill_n(static_cast<float*>(scratch), rows * toy::kHidden, kGarbage);
    for (int32_t row = 0; row < rows; ++row) {
      keep(input, row);
      write_linear(reinterpret_cast<const toy::Residual*>(input.stream)[row], linear,
                   static_cast<float*>(out) + row * outputs);
    }
  });
}

void residual_linear(const void* x, const Linear& linear, float factor, const float* residual, float* out,
                     int32_t rows, DataType type, cudaStream_t stream) {
  launch(stream, [=] {
    const int32_t inputs = role_of(linear) == Role::kInnerOut ? toy::kInner : toy::kHidden;
    check(linear, inputs, toy::kHidden, factor, type);
    for (int32_t row = 0; row < rows; ++row) {
      reinterpret_cast<toy::Residual*>(out)[row] =
          sum_of(reinterpret_cast<const toy::Residual*>(residual)[row], linear,
                 static_cast<const float*>(x) + row * inputs);
    }
  });
}

void project_logits(const Normalized& input, const Linear& linear, float factor, void* scratch, float* logits,
                    int32_t rows, DataType type, cudaStream_t stream) {
  launch(stream, [=] {
    check(linear, toy::kHidden, toy::kVocabulary, input.factor * factor, type);
    std::fill_n(static_cast<float*>(scratch), rows * toy::kHidden, kGarbage);
    for (int32_t row = 0; row < rows; ++row) {
      for (int32_t token = 0; token < toy::kVocabulary; ++token) {
        logits[row * toy::kVocabulary + token] =
            toy::logit(reinterpret_cast<const toy::Residual*>(input.stream)[row], token);
      }
    }
  });
}

void normalize_rows(const float* x, const Norm& /*norm*/, float* out, int32_t rows, int32_t columns,
                    cudaStream_t stream) {
  launch(stream, [=] { std::copy_n(x, rows * columns, out); });
}

}  // namespace nmt_trt::cuda
