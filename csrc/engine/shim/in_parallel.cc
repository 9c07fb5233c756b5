#include "engine/shim/in_parallel.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "core/errors.h"

namespace nmt_trt {
namespace {

void check(cudaError_t status) {
  if (status != cudaSuccess) throw EngineError(std::string("CUDA: ") + cudaGetErrorString(status));
}

}  // namespace

void in_parallel(size_t count, const std::function<void(size_t)>& call) {
  int device = 0;
  check(cudaGetDevice(&device));
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    check(cudaSetDevice(device));
    for (size_t i = next++; i < count; i = next++) call(i);
  };
  const size_t most = std::min<size_t>(count, std::max(1U, std::thread::hardware_concurrency()));
  std::vector<std::future<void>> workers;  // waited for before what they use goes away
  while (workers.size() < most) workers.push_back(std::async(std::launch::async, work));
  for (auto& worker : workers) worker.wait();
  for (auto& worker : workers) worker.get();
}

}  // namespace nmt_trt
