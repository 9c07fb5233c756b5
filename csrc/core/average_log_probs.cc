#include "core/average_log_probs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/vector_kernels.h"

namespace nmt_trt {
namespace {

/// One row of each model at a time: whole blocks as they are, the rest of the row filled up with -inf.
class RowAverage {
 public:
  RowAverage(size_t models, size_t vocab_size)
      : whole_(vocab_size / kBlock),
        rest_(vocab_size % kBlock),
        maxima_(whole_ + 1),
        tails_(models * kBlock, -std::numeric_limits<float>::infinity()),
        rows_(models),
        ends_(models),
        end_(kBlock) {}

  void set(size_t model, const float* logits) {
    float* tail = &tails_[model * kBlock];
    std::copy_n(logits + whole_ * kBlock, rest_, tail);
    block_maxima(logits, whole_, maxima_.data());
    block_maxima(tail, 1, &maxima_[whole_]);
    const float largest = *std::max_element(maxima_.begin(), maxima_.end());
    const double sum = sum_exp(logits, whole_, largest) + sum_exp(tail, 1, largest);
    const auto log_sum = static_cast<float>(std::log(sum));
    rows_[model] = {logits, largest, log_sum};
    ends_[model] = {tail, largest, log_sum};
  }

  void write(float* average) {
    const bool all = std::all_of(rows_.begin(), rows_.end(),
                                 [](const NormalisedLogits& row) { return std::isfinite(row.log_sum); });
    if (!all) {
      std::fill_n(average, whole_ * kBlock + rest_, std::numeric_limits<float>::quiet_NaN());
      return;
    }
    log_mean_exp(rows_.data(), rows_.size(), whole_, average);
    log_mean_exp(ends_.data(), ends_.size(), 1, end_.data());
    std::copy_n(end_.data(), rest_, average + whole_ * kBlock);
  }

 private:
  size_t whole_;               // blocks
  size_t rest_;                // logits behind them
  std::vector<float> maxima_;  // [whole + 1]
  std::vector<float> tails_;   // [models, kBlock]
  std::vector<NormalisedLogits> rows_, ends_;
  std::vector<float> end_;  // [kBlock]
};

}  // namespace

void average_log_probs(const std::vector<const float*>& logits, size_t rows, size_t vocab_size,
                       float* average) {
  RowAverage row_average(logits.size(), vocab_size);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t model = 0; model < logits.size(); ++model) {
      row_average.set(model, logits[model] + row * vocab_size);
    }
    row_average.write(average + row * vocab_size);
  }
}

}  // namespace nmt_trt
