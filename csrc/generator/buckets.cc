#include "generator/buckets.h"

#include <algorithm>

namespace nmt_trt {
namespace {

constexpr int32_t kFirstSource = 16;

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

}  // namespace nmt_trt
