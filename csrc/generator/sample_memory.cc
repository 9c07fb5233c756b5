#include "generator/sample_memory.h"

#include <algorithm>
#include <numeric>

#include "generator/layout.h"
#include "generator/send_to_device.h"

namespace nmt_trt {

SampleMemory::SampleMemory(int32_t sentences)
    : host_rules_(1), host_numbers_(static_cast<size_t>(sentences)) {
  Layout layout;
  const size_t rules = layout.add<cuda::SampleRules>(1);
  const size_t numbers = layout.add<uint64_t>(host_numbers_.size());
  memory_ = cuda::DeviceBuffer(layout.bytes());
  state_.rules = at<cuda::SampleRules>(memory_, rules);
  state_.numbers = at<uint64_t>(memory_, numbers);
}

void SampleMemory::upload(const SearchOptions& options, cudaStream_t stream) {
  host_rules_[0] = {options.sampling_temperature, options.sampling_topk,
                    static_cast<double>(options.sampling_topp), options.seed};
  std::iota(host_numbers_.begin(), host_numbers_.end(), uint64_t{0});
  std::copy(options.sentence_numbers.begin(), options.sentence_numbers.end(), host_numbers_.begin());
  send_to_device(state_.rules, host_rules_, stream);
  send_to_device(state_.numbers, host_numbers_, stream);
}

}  // namespace nmt_trt
