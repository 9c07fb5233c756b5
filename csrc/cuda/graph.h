#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

namespace nmt_trt::cuda {

/// Nodes of a graph by what they are.
struct NodeCounts {
  size_t kernels = 0;
  size_t memsets = 0;
  size_t others = 0;  // copies, host functions, events and so on

  size_t total() const { return kernels + memsets + others; }
};

/// Work recorded once and launched as one; or nothing.
class Graph {
 public:
  Graph() = default;
  Graph(Graph&& other) noexcept
      : executable_(std::exchange(other.executable_, nullptr)), nodes_(std::exchange(other.nodes_, {})) {}
  Graph& operator=(Graph&& other) noexcept {
    std::swap(executable_, other.executable_);
    std::swap(nodes_, other.nodes_);
    return *this;
  }
  ~Graph();

  explicit operator bool() const { return executable_ != nullptr; }
  /// Throws CudaError.
  void launch(cudaStream_t stream) const;
  const NodeCounts& nodes() const { return nodes_; }

 private:
  friend class Capture;

  cudaGraphExec_t executable_ = nullptr;
  NodeCounts nodes_;
};

/// Records what this thread gives to a stream, instead of running it. Other threads may go on using CUDA
/// meanwhile.
class Capture {
 public:
  /// Begins. Throws CudaError.
  explicit Capture(cudaStream_t stream);
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  /// Throws away what was recorded, unless end() was called.
  ~Capture();

  /// Throws CudaError, also for a call within the capture that cannot be recorded.
  Graph end();

 private:
  cudaStream_t stream_;
  bool running_ = true;
};

/// Records what `body()` gives to the stream.
template <typename Body>
Graph capture(cudaStream_t stream, Body&& body) {
  Capture capture(stream);
  std::forward<Body>(body)();
  return capture.end();
}

}  // namespace nmt_trt::cuda
