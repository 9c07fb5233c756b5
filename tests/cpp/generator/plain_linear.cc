// cuda/linear.h on the fake device, for any model in float32: what its comments say, in double precision.
#include "cuda/linear.h"

#include <cmath>
#include <cstddef>
#include <vector>

#include "fake_device.h"
#include "fake_launch.h"

namespace nmt_trt::cuda {
namespace {

using testing::device;
using testing::launch;
using Row = std::vector<double>;

Row read(const void* rows, int32_t row, int32_t columns) {
  const float* first = static_cast<const float*>(rows) + static_cast<ptrdiff_t>(row) * columns;
  return {first, first + columns};
}

void write(const Row& values, void* rows, int32_t row) {
  float* out = static_cast<float*>(rows) + static_cast<size_t>(row) * values.size();
  for (const double value : values) *out++ = static_cast<float>(value);
}

Row normalized(Row row, const Norm& norm) {
  if (norm.gain == nullptr) return row;
  double mean = 0;
  double variance = 0;
  for (const double value : row) mean += value / static_cast<double>(row.size());
  for (const double value : row)
    variance += (value - mean) * (value - mean) / static_cast<double>(row.size());
  for (size_t i = 0; i < row.size(); ++i) {
    row[i] = norm.gain[i] * (row[i] - mean) / std::sqrt(variance + norm.epsilon) + norm.shift[i];
  }
  return row;
}

Row product(const Row& x, const Linear& linear) {
  const auto* weight = static_cast<const float*>(linear.weight);
  Row y(linear.bias, linear.bias + linear.outputs);
  for (double& sum : y) {
    for (const double value : x) sum += *weight++ * value;
  }
  return y;
}

double activate(double x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return x > 0 ? x : 0;
    case Activation::kGelu:
      return x * std::erfc(-x / std::sqrt(2.0)) / 2;
    case Activation::kSwish:
      return x / (1 + std::exp(-x));
  }
  return x;
}

/// The input of a linear layer, on the way in `scratch`; keeps what is to be kept.
Row given(const Normalized& input, int32_t row, int32_t columns, void* scratch) {
  if (input.kept == input.stream) device().forbid("a stream is kept where it is read");
  Row x = normalized(read(input.stream, row, columns), input.norm);
  if (input.kept != nullptr) write(x, input.kept, row);
  for (double& value : x) value *= input.factor;
  write(x, scratch, row);
  return x;
}

}  // namespace

void normalized_linear(const Normalized& input, const Linear& linear, const Activated& activated,
                       void* scratch, void* out, int32_t rows, DataType /*type*/, cudaStream_t stream) {
  launch(stream, [=] {
    for (int32_t row = 0; row < rows; ++row) {
      Row y = product(given(input, row, linear.inputs, scratch), linear);
      for (double& value : y) {
        value = activated.after * activate(activated.before * value, activated.activation);
      }
      write(y, out, row);
    }
  });
}

void residual_linear(const void* x, const Linear& linear, float factor, const float* residual, float* out,
                     int32_t rows, DataType /*type*/, cudaStream_t stream) {
  launch(stream, [=] {
    for (int32_t row = 0; row < rows; ++row) {
      Row sum = read(residual, row, linear.outputs);
      const Row y = product(read(x, row, linear.inputs), linear);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += factor * y[i];
      write(sum, out, row);
    }
  });
}

void project_logits(const Normalized& input, const Linear& linear, float factor, void* scratch, float* logits,
                    int32_t rows, DataType /*type*/, cudaStream_t stream) {
  launch(stream, [=] {
    for (int32_t row = 0; row < rows; ++row) {
      Row y = product(given(input, row, linear.inputs, scratch), linear);
      for (double& value : y) value *= factor;
      write(y, logits, row);
    }
  });
}

void embed_tokens(const Embedding& embedding, const int32_t* token, const int32_t* position, float* out,
                  int32_t rows, DataType /*type*/, cudaStream_t stream) {
  launch(stream, [=] {
    const Row place = read(embedding.positions, *position, embedding.columns);
    for (int32_t row = 0; row < rows; ++row) {
      Row sum = read(embedding.table, token[row], embedding.columns);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] = embedding.scale * sum[i] + place[i];
      write(normalized(sum, embedding.norm), out, row);
    }
  });
}

void normalize_rows(const float* x, const Norm& norm, float* out, int32_t rows, int32_t columns,
                    cudaStream_t stream) {
  launch(stream, [=] {
    for (int32_t row = 0; row < rows; ++row) write(normalized(read(x, row, columns), norm), out, row);
  });
}

}  // namespace nmt_trt::cuda
