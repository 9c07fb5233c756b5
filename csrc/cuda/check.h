#pragma once

#include <cuda_runtime_api.h>

namespace nmt_trt::cuda {

/// Throws unless `status` is cudaSuccess: OutOfMemoryError for cudaErrorMemoryAllocation, CudaError for all
/// else, with the call, its place and CUDA's text. Clears the error, so that it is not taken for a later
/// call's.
void check(cudaError_t status, const char* call, const char* file, int line);

}  // namespace nmt_trt::cuda

/// Makes a call of the CUDA runtime (or takes its status) and throws when it failed.
#define NMT_TRT_CUDA(call) ::nmt_trt::cuda::check((call), #call, __FILE__, __LINE__)

/// After a kernel launch: throws when it failed.
#define NMT_TRT_CUDA_LAUNCHED(kernel) \
  ::nmt_trt::cuda::check(cudaGetLastError(), "launch of " #kernel, __FILE__, __LINE__)
