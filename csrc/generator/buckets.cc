#include "generator/buckets.h"

#include <algorithm>

namespace nmt_trt {
namespace {

constexpr int32_t kFirstSource = 16;
constexpr int32_t kLargestToSmallest = 8;

int32_t power_of_two_times(int32_t first, int32_t value, const Extent& admitted) {
  int32_t bucket = first;
  while (bucket < value) bucket *= 2;
  return std::clamp(bucket, admitted.least, admitted.most);
}

}  // namespace

int32_t batch_bucket(int32_t sentences, const Extent& admitted) {
  return power_of_two_times(1, sentences, admitted);
}

int32_t source_bucket(int32_t length, int32_t most) {
  return power_of_two_times(kFirstSource, length, {1, most});
}

int32_t shortest_source(int32_t bucket) {
  int32_t before = 0;
  for (int32_t next = kFirstSource; next < bucket; next *= 2) before = next;
  return before + 1;
}

int32_t token_bucket(int32_t tokens, int32_t largest, int32_t least) {
  const int32_t smallest = std::max({tokens, least, largest / kLargestToSmallest});
  int32_t bucket = largest;
  while (bucket / 2 >= smallest) bucket /= 2;
  return bucket;
}

}  // namespace nmt_trt
