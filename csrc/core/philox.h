#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace nmt_trt {

/// 128 bits.
struct PhiloxBlock {
  uint32_t words[4];
};

/// Philox4x32-10, the counter-based generator of Salmon et al. 2011 (doi:10.1145/2063384.2063405): 128 random
/// bits for a counter and a 64-bit key, with no state, so that any draw can be made anywhere and in any
/// order.
NMT_TRT_HOST_DEVICE inline PhiloxBlock philox(uint64_t key, const PhiloxBlock& counter) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53;
  constexpr uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9;
  constexpr uint32_t kWeyl1 = 0xBB67AE85;
  auto key0 = static_cast<uint32_t>(key);
  auto key1 = static_cast<uint32_t>(key >> 32U);
  PhiloxBlock block = counter;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * block.words[0];
    const uint64_t product1 = kMultiplier1 * block.words[2];
    block = {{static_cast<uint32_t>(product1 >> 32U) ^ block.words[1] ^ key0, static_cast<uint32_t>(product1),
              static_cast<uint32_t>(product0 >> 32U) ^ block.words[3] ^ key1,
              static_cast<uint32_t>(product0)}};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return block;
}

}  // namespace nmt_trt
