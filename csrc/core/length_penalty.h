#pragma once

#include <cstdint>

namespace nmt_trt {

/// The penalty ((5 + len) / 6)^alpha that a sum of log-probabilities is divided by (Wu et al. 2016,
/// arXiv:1609.08144, equation 14), in fp32 throughout.
class LengthPenalty {
 public:
  explicit LengthPenalty(float alpha) : alpha_(alpha) {}

  float operator()(int32_t length) const;

  /// `len` of a hypothesis with `words` generated tokens other than EOS and PAD: NeMo counts two more.
  static int32_t length_of(int32_t words) { return words + 2; }

 private:
  float alpha_;
};

}  // namespace nmt_trt
