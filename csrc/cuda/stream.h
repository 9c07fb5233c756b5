#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include "cuda/check.h"

namespace nmt_trt::cuda {

/// A stream that does not wait for the default stream.
class Stream {
 public:
  /// Throws CudaError.
  Stream() { NMT_TRT_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~Stream() {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  cudaStream_t get() const { return stream_; }
  /// Waits for everything given to the stream; throws CudaError when some of it failed.
  void synchronize() const { NMT_TRT_CUDA(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Waits for a stream where a scope ends, by an exception too, so that nothing runs whose memory is given up.
/// Says nothing of failures: what is done next with the stream tells them.
class WaitAtEnd {
 public:
  explicit WaitAtEnd(cudaStream_t stream) : stream_(stream) {}
  WaitAtEnd(const WaitAtEnd&) = delete;
  WaitAtEnd& operator=(const WaitAtEnd&) = delete;
  ~WaitAtEnd() { cudaStreamSynchronize(stream_); }

 private:
  cudaStream_t stream_;
};

}  // namespace nmt_trt::cuda
