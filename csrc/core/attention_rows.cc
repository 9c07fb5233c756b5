#include "core/attention_rows.h"

#include <algorithm>

namespace nmt_trt {
namespace {

size_t size(int32_t count) { return static_cast<size_t>(count); }

}  // namespace

void AttentionRows::append(const float* rows, int32_t hypotheses, int32_t width) {
  const size_t first = rows_.size();
  rows_.resize(first + size(beam_size_) * size(source_));
  for (int32_t k = 0; k < hypotheses; ++k) {
    std::copy_n(rows + size(k) * size(width), source_, &rows_[first + size(k) * size(source_)]);
  }
}

const float* AttentionRows::row(size_t step, int32_t slot) const {
  return &rows_[(step * size(beam_size_) + size(slot)) * size(source_)];
}

void AttentionPath::add(size_t step, int32_t parent, int32_t token) {
  if (ends_) rows_.resize(rows_.size() - size(kept_.source()));
  ends_ = token == eos_;
  if (token == pad_) return;
  const float* row = kept_.row(step, parent);
  rows_.insert(rows_.end(), row, row + kept_.source());
}

}  // namespace nmt_trt
