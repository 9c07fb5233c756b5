#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "core/philox.h"

namespace nmt_trt {

/// Which draw: the same for the same options and logits, whatever else is drawn.
struct Draw {
  uint64_t sentence;
  int32_t sample;
  int32_t step;
};

/// What the likeliest token weighs: weights are integers, so that sums do not depend on their order.
inline constexpr float kWeightUnit = 1099511627776.0F;  // 2^40

/// A number from 0 to total - 1: total times u, u being the first 64 bits, as a fraction, of Philox under the
/// key `seed` at the counter (sentence, sample, step).
NMT_TRT_HOST_DEVICE inline uint64_t drawn_place(uint64_t seed, const Draw& draw, uint64_t total) {
  const PhiloxBlock block =
      philox(seed, {{static_cast<uint32_t>(draw.sentence), static_cast<uint32_t>(draw.sentence >> 32U),
                     static_cast<uint32_t>(draw.sample), static_cast<uint32_t>(draw.step)}});
  const uint64_t random = uint64_t{block.words[0]} << 32U | block.words[1];
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>((static_cast<Wide>(total) * random) >> 64U);
}

}  // namespace nmt_trt
