#pragma once

#include <cstdint>
#include <tuple>

namespace nmt_trt {

/// The shapes that a decoder step runs at: rows of the batch (B), source tokens (S), beam size (K) and
/// capacity of the cache in tokens (T).
struct StageKey {
  int32_t rows, source, beam_size, capacity;

  bool operator<(const StageKey& other) const {
    return std::tie(rows, source, beam_size, capacity) <
           std::tie(other.rows, other.source, other.beam_size, other.capacity);
  }
  bool operator==(const StageKey& other) const { return !(*this < other) && !(other < *this); }
};

}  // namespace nmt_trt
