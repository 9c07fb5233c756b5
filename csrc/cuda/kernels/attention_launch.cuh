#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "core/errors.h"
#include "cuda/attention.h"
#include "cuda/kernels/attention_layout.cuh"
#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/device_limits.h"
#include "cuda/kernels/float_types.h"

namespace nmt_trt::cuda {

/// Throws UsageError for a head size that attention does not take.
inline void check_head_size(int32_t head_size) {
  if (head_size >= 1 && head_size <= kMaxHeadSize) return;
  throw UsageError("head_size", "1 to " + std::to_string(kMaxHeadSize), std::to_string(head_size));
}

/// call(number, layout) with the device's type for `type` and the HeadLayout of kThreads threads for the head
/// size. Throws UsageError for a type that is not floating or a head size that no layout fits.
template <int kThreads, typename Call>
void with_head_layout(const HeadShape& shape, DataType type, Call call) {
  const int32_t head_size = shape.head_size;
  check_head_size(head_size);
  with_float_type("attention", type, [&](auto number) {
    constexpr int kRun = static_cast<int>(sizeof(uint4) / sizeof(number));
    if (head_size % kRun != 0 || head_size > HeadLayout<kThreads, 16, kRun>::kElements) {
      call(number, HeadLayout<kThreads, 32, 1>{});
    } else if (head_size > HeadLayout<kThreads, 8, kRun>::kElements) {
      call(number, HeadLayout<kThreads, 16, kRun>{});
    } else {
      call(number, HeadLayout<kThreads, 8, kRun>{});
    }
  });
}

/// Launches `early`, whose blocks read keys and values before they wait for the kernel before them, or
/// `late`, whose blocks do not: that pays where all of them have a place by then, and takes registers, hence
/// places.
template <typename Kernel, typename Arguments>
void launch_attention(Kernel early, Kernel late, const dim3& blocks, const dim3& threads, cudaStream_t stream,
                      const Arguments& arguments) {
  share_memory(late);  // loads it, so that a later choice in a graph's capture finds both
  const auto kernel = runs_at_once(early, blocks, threads, 0) ? early : late;
  launch_early(kernel, blocks, threads, 0, stream, arguments);
}

/// Throws UsageError unless `address` suits loads of 16 bytes.
inline void check_aligned(const char* tensor, const void* address) {
  const auto past = reinterpret_cast<uintptr_t>(address) % sizeof(uint4);
  if (past == 0) return;
  throw UsageError(std::string("the address of ") + tensor, "a multiple of 16",
                   std::to_string(past) + " past one");
}

}  // namespace nmt_trt::cuda
