#include "core/self_bias.h"

#include <algorithm>

namespace nmt_trt {

void write_self_bias(const Beam& beam, int32_t pad, const SelfBiasLayout& layout, float* bias) {
  for (int32_t k = 0; k < beam.size(); ++k, bias += layout.slots) {
    const float seen = beam.last_token(k) == pad ? layout.pad_query_bias : 0.0F;
    std::fill(bias, bias + layout.slots, seen + kMasked);
    const auto& ancestry = beam.ancestry(k);
    if (layout.prefix_by_root) {
      bias[ancestry.front()] = seen;
    } else {
      std::fill(bias, bias + layout.prefix_length, seen);
    }
    float* generated = bias + layout.prefix_slots;
    for (const int32_t slot : ancestry) {
      generated[slot] = seen;
      generated += beam.size();
    }
  }
}

}  // namespace nmt_trt
