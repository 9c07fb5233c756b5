#include "cuda/check.h"

#include <string>

#include "core/errors.h"

namespace nmt_trt::cuda {
namespace {

// A path as it is in the repository, whatever the folder of the build.
std::string short_path(const std::string& file) {
  const size_t root = file.rfind("csrc/");
  return root == std::string::npos ? file : file.substr(root);
}

}  // namespace

void check(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  const std::string text = std::string(call) + " failed at " + short_path(file) + ":" + std::to_string(line) +
                           ": " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")";
  if (status == cudaErrorMemoryAllocation) throw OutOfMemoryError(text);
  throw CudaError(text);
}

}  // namespace nmt_trt::cuda
