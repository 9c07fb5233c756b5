#include "engine/shape_check.h"

#include "core/errors.h"

namespace nmt_trt {
namespace {

bool within(const Shape& least, const Shape& shape, const Shape& largest) {
  if (shape.size() != least.size() || shape.size() != largest.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < least[i] || shape[i] > largest[i]) return false;
  }
  return true;
}

}  // namespace

void check_shape(const EngineTensor& input, const Shape& shape) {
  if (within(input.min_shape, shape, input.max_shape)) return;
  const std::string expected = input.min_shape == input.max_shape ? to_string(input.min_shape)
                                                                  : "from " + to_string(input.min_shape) +
                                                                        " to " + to_string(input.max_shape);
  throw UsageError("shape of " + input.name, expected, to_string(shape));
}

}  // namespace nmt_trt
