#pragma once

#include <cstdint>
#include <cstring>

#include "core/host_device.h"

namespace nmt_trt::cuda {

/// An integer that orders floats as < does, with -0 equal to 0. NaN lies outside: above +inf or below -inf.
NMT_TRT_HOST_DEVICE inline uint32_t order_key(float value) {
  const float unsigned_zero = value + 0.0F;
  uint32_t bits;
  memcpy(&bits, &unsigned_zero, sizeof(bits));
  return (bits >> 31U) != 0 ? ~bits : bits | 0x80000000U;
}

NMT_TRT_HOST_DEVICE inline float value_of_key(uint32_t key) {
  const uint32_t bits = (key >> 31U) != 0 ? key & 0x7FFFFFFFU : ~key;
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

/// order_key(-inf): the key of every finite value is larger.
constexpr uint32_t kLowestKey = 0x007FFFFFU;

}  // namespace nmt_trt::cuda
