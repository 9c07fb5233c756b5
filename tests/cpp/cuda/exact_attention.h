#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "core/engine.h"
#include "cuda/attention.h"

namespace nmt_trt::testing {

/// One element of attention's output in double precision, and the sum of the absolute values that make it up.
struct ExactElement {
  double value = 0;
  double magnitude = 0;
};

using Vectors = std::vector<std::vector<float>>;

/// [hidden], straight from the definition. query: [hidden]; keys, values: at least `positions` of [hidden],
/// of which the first `positions` are attended to.
std::vector<ExactElement> exact_attention(const cuda::HeadShape& shape, const std::vector<float>& query,
                                          const Vectors& keys, const Vectors& values, size_t positions);

/// [positions] the weights of attention, averaged over the heads, straight from the definition.
std::vector<double> exact_weights(const cuda::HeadShape& shape, const std::vector<float>& query,
                                  const Vectors& keys, size_t positions);

/// Largest relative error of rounding to a type.
double unit_roundoff(DataType type);

/// Depends on all of `parts` and their order.
uint64_t hash_of(std::initializer_list<int32_t> parts, uint64_t hash = 0);

/// `count` numbers that follow from `name`, each in -2 ... 2 and rounded to `type`.
std::vector<float> hashed_numbers(std::initializer_list<int32_t> name, size_t count, DataType type);

}  // namespace nmt_trt::testing
