#include "core/length_penalty.h"

#include <cmath>

namespace nmt_trt {

float LengthPenalty::operator()(int32_t length) const {
  return std::pow((5.0F + static_cast<float>(length)) / 6.0F, alpha_);
}

}  // namespace nmt_trt
