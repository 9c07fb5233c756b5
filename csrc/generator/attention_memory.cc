#include "generator/attention_memory.h"

#include <algorithm>

#include "cuda/check.h"
#include "generator/download.h"
#include "generator/send_to_device.h"

namespace nmt_trt {
namespace {

size_t size(int32_t count) { return static_cast<size_t>(count); }

int32_t largest(const std::vector<int32_t>& numbers) {
  return *std::max_element(numbers.begin(), numbers.end());
}

}  // namespace

AttentionMemory::AttentionMemory() : record_(sizeof(cuda::AttentionRecord)), host_record_(1) {}

void AttentionMemory::reserve(const SearchOptions& options, cudaStream_t stream) {
  const size_t sentences = options.max_lengths.size();
  const int32_t steps = largest(options.max_lengths);
  const int32_t source = largest(options.source_lengths);
  const size_t bytes = sentences * size(steps) * size(options.beam_size) * size(source) * sizeof(float);
  if (bytes > rows_.bytes() || bytes < rows_.bytes() / 2) {
    release();
    rows_ = cuda::DeviceBuffer(bytes);
  }
  host_record_[0] = {static_cast<float*>(rows_.data()), static_cast<int32_t>(sentences), steps, source};
  send_to_device(state(), host_record_, stream);
}

std::vector<AttentionRows> AttentionMemory::rows(const SearchOptions& options, int32_t steps,
                                                 cudaStream_t stream) const {
  const cuda::AttentionRecord& record = host_record_[0];
  const size_t step = size(options.beam_size) * size(record.source);
  const auto recorded =
      download_steps(record.rows, size(record.sentences), size(record.steps), size(steps), step, stream);
  NMT_TRT_CUDA(cudaStreamSynchronize(stream));
  std::vector<AttentionRows> all;
  const float* row = recorded.data();
  for (const int32_t length : options.source_lengths) {
    AttentionRows& kept = all.emplace_back(options.beam_size, length);
    for (int32_t i = 0; i < steps; ++i, row += step) kept.append(row, options.beam_size, record.source);
  }
  return all;
}

}  // namespace nmt_trt
