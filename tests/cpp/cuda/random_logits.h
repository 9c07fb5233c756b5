#pragma once

#include <cstdint>
#include <vector>

#include "core/options.h"

namespace nmt_trt::testing {

/// Random numbers, the same on every machine and quick enough for millions of logits.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15U + 0xD1B54A32D192ED03U) {}

  uint64_t bits();
  /// From low to high, both included.
  int32_t integer(int32_t low, int32_t high);
  /// From 0 to 1.
  float unit() { return static_cast<float>(bits() >> 40U) * 0x1p-24F; }
  bool with_probability(float probability) { return unit() < probability; }
  /// About normal, from -3 to 3.
  float bell() { return 2.0F * (unit() + unit() + unit()) - 3.0F; }

 private:
  uint64_t state_;
};

/// A search to run: everything is random.
struct RandomSearch {
  SearchOptions options;
  /// Generated tokens that the search has room for, at least every limit.
  int32_t capacity;
  /// The sentence of each row in a random order, with -1 for padding in between.
  std::vector<int32_t> sentence_of_row;
};

RandomSearch random_search(Random& random, const std::vector<PolicyKind>& policies);

/// One row of logits with exact ties, -inf and sometimes a likely EOS; at least one is finite.
std::vector<float> random_row(Random& random, const SearchOptions& options);

/// NMT_TRT_TEST_SEEDS, else `usual`, times five with NMT_TRT_TEST_ALL=1.
int32_t seed_count(int32_t usual);

}  // namespace nmt_trt::testing
