#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "cuda/check.h"
#include "cuda/kernels/device_limits.h"

namespace nmt_trt::cuda {

// Programmatic dependent launch (CUDA Programming Guide, "Programmatic Dependent Launch and
// Synchronization"): from compute capability 9.0 on, a kernel's blocks take their places while the kernel
// before it still runs, so that the launch itself, and reads of what no kernel writes, cost no time of their
// own.

/// Lets the next kernel's blocks take their places, as soon as all of this one's have called it. A kernel
/// that does not, as update_beams(), has ended before any later one begins. Since each step of a search is a
/// graph of its own besides, what it and kernels before it wrote can be read before the wait.
__device__ inline void let_next_kernel_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// Waits until all that earlier kernels of the stream wrote can be read. Every block of a kernel launched by
/// launch_early() must come here, also one that has nothing to do: the next kernel waits for this one alone.
/// Blocks may have been waiting for long: what a kernel of the same step wrote is read past the L1 cache
/// (__ldcg) where an earlier one may have left another kernel's reads of the same place there.
__device__ inline void wait_for_earlier_kernels() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// The first one whose kernels wait.
constexpr int kEarlyArch = 90;

/// The architecture that a kernel's code for the current device was compiled for: 90 for 9.0. Throws
/// CudaError.
template <typename Kernel>
int arch_of(Kernel kernel) {
  cudaFuncAttributes attributes;
  NMT_TRT_CUDA(cudaFuncGetAttributes(&attributes, kernel));
  return attributes.ptxVersion;
}

/// Of an SM's memory, what is shared and not L1 cache: the same for all that may run side by side, which wait
/// for each other where it differs. A kernel that needs more gets it.
constexpr int kSharedPercent = 50;

/// Gives a kernel that share, and loads it. Throws CudaError.
template <typename Kernel>
void share_memory(Kernel kernel) {
  NMT_TRT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, kSharedPercent));
}

/// Whether the device runs all blocks of a kernel for launch_early() at once. Throws CudaError.
template <typename Kernel>
bool runs_at_once(Kernel kernel, const dim3& blocks, const dim3& threads, size_t shared_bytes) {
  share_memory(kernel);
  int places = 0;
  const auto together = static_cast<int>(threads.x * threads.y * threads.z);
  NMT_TRT_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&places, kernel, together, shared_bytes));
  return blocks.x * blocks.y * blocks.z <= static_cast<unsigned int>(places * processors());
}

/// Launches a kernel that calls wait_for_earlier_kernels(). Throws CudaError.
template <typename... Parameters, typename... Arguments>
void launch_early(void (*kernel)(Parameters...), dim3 blocks, dim3 threads, size_t shared_bytes,
                  cudaStream_t stream, const Arguments&... arguments) {
  share_memory(kernel);
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = arch_of(kernel) >= kEarlyArch ? 1 : 0;
  NMT_TRT_CUDA(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...));
}

}  // namespace nmt_trt::cuda
