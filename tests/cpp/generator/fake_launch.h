#pragma once

#include <utility>

#include "cuda/check.h"
#include "fake_device.h"

namespace nmt_trt::testing {

/// Launches `kernel()`. Throws as launches of kernels do: also for an error that a call before has left.
inline void launch(cudaStream_t stream, Job kernel) {
  const cudaError_t status = device().call("launch");
  NMT_TRT_CUDA(status == cudaSuccess ? cudaGetLastError() : status);
  device().give(stream, cudaGraphNodeTypeKernel, std::move(kernel));
}

}  // namespace nmt_trt::testing
