#pragma once

#include <cstdint>

#include "core/beam.h"

namespace nmt_trt {

/// Added to an attention score so that the position counts for nothing; NeMo's value, and safe in fp16.
inline constexpr float kMasked = -10000.0F;

/// Where the self-attention of one sentence may look: slots 0 .. prefix_slots - 1 hold the forced prefix, of
/// which `prefix_length` are in use, and slot prefix_slots + step * K + k what hypothesis k generated at
/// `step`.
struct SelfBiasLayout {
  int32_t slots;
  int32_t prefix_slots;
  int32_t prefix_length;
  /// Each hypothesis sees, of the prefix, only the slot of its ancestor at the first step.
  bool prefix_by_root;
  /// Added everywhere for a hypothesis whose last token is PAD.
  float pad_query_bias;
};

/// bias: [K, layout.slots], 0 where a hypothesis attends and kMasked elsewhere.
void write_self_bias(const Beam& beam, int32_t pad, const SelfBiasLayout& layout, float* bias);

}  // namespace nmt_trt
