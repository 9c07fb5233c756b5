#include "generator/ensemble_encoders.h"

#include <algorithm>
#include <numeric>

namespace nmt_trt {

size_t EnsembleEncoders::bytes_needed(int32_t tokens, Ensemble& ensemble) {
  size_t total = 0;
  for (size_t model = 0; model < ensemble.size(); ++model) {
    total += EncoderEngines::bytes_needed(tokens, ensemble.shape(model), ensemble.plans(model));
  }
  return total;
}

EnsembleEncoders::EnsembleEncoders(int32_t tokens, Ensemble& ensemble, cudaStream_t stream) {
  for (size_t model = 0; model < ensemble.size(); ++model) {
    engines_.push_back(
        std::make_unique<EncoderEngines>(tokens, ensemble.shape(model), ensemble.plans(model), stream));
  }
}

void EnsembleEncoders::write(const int32_t* ids, int32_t length, int32_t first) {
  for (const auto& engines : engines_) {
    std::copy_n(ids, length, engines->host_token() + first);
    std::iota(engines->host_position() + first, engines->host_position() + first + length, 0);
  }
}

void EnsembleEncoders::send(cudaStream_t stream) {
  for (const auto& engines : engines_) engines->send(stream);
}

size_t EnsembleEncoders::bytes() const {
  size_t total = 0;
  for (const auto& engines : engines_) total += engines->bytes();
  return total;
}

}  // namespace nmt_trt
