#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/engine.h"
#include "cuda/gpu.h"
#include "cuda/linear.h"

namespace nmt_trt::testing {

/// A linear layer with random weights and its input, on the host and on the device.
struct LinearScene {
  DataType type = DataType::kFloat16;
  int32_t inputs = 0, outputs = 0, rows = 0;

  /// Rounded to `type`, but for bias, gain, shift and the stream.
  std::vector<float> weight, bias, gain, shift, stream, x;

  LinearScene(DataType type, int32_t inputs, int32_t outputs, int32_t rows, uint32_t seed);

  /// Row by row in double precision: gain * (stream - mean) / sqrt(variance + kEpsilon) + shift.
  std::vector<double> normalized() const;
  /// `given` [rows, inputs], times `factor` and rounded to `type`, through the layer: [rows, outputs].
  std::vector<double> through(const std::vector<double>& given, double factor) const;

  static constexpr float kEpsilon = 1e-5F;
};

/// What a scene has, on the device.
struct LinearStage {
  explicit LinearStage(const LinearScene& scene);

  cuda::Linear linear() const;
  cuda::Normalized normalized(bool norm, float* kept, float factor) const;

  const LinearScene& scene;
  DeviceArray<std::byte> weight, x;
  DeviceArray<float> bias, gain, shift, stream;
};

/// |given - expected| / |expected|, as Euclidean norms; NaN where one of them is.
double relative_error(const std::vector<float>& given, const std::vector<double>& expected);

}  // namespace nmt_trt::testing
