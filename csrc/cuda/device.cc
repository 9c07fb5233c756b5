#include "cuda/device.h"

#include <cuda_runtime_api.h>

#include "cuda/check.h"

namespace nmt_trt::cuda {

OnDevice::OnDevice(int device) {
  NMT_TRT_CUDA(cudaGetDevice(&before_));
  NMT_TRT_CUDA(cudaSetDevice(device));
}

OnDevice::~OnDevice() { cudaSetDevice(before_); }

}  // namespace nmt_trt::cuda
