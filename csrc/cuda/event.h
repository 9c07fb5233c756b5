#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include "cuda/check.h"

namespace nmt_trt::cuda {

/// A point in a stream's work, with its time.
class Event {
 public:
  /// Throws CudaError.
  Event() { NMT_TRT_CUDA(cudaEventCreate(&event_)); }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  ~Event() {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }

  void record(cudaStream_t stream) { NMT_TRT_CUDA(cudaEventRecord(event_, stream)); }
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Device time between two recorded events that have both been reached. Throws CudaError when one has not.
inline double seconds_between(const Event& from, const Event& to) {
  float milliseconds = 0;
  NMT_TRT_CUDA(cudaEventElapsedTime(&milliseconds, from.get(), to.get()));
  return milliseconds * 1e-3;
}

}  // namespace nmt_trt::cuda
