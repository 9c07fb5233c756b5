#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/errors.h"
#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/device_limits.h"
#include "cuda/kernels/linear_tile.cuh"
#include "cuda/kernels/tensor_core.cuh"

namespace nmt_trt::cuda {

template <typename Tile>
dim3 blocks_of(const Linear& linear, int32_t rows) {
  return {static_cast<unsigned int>((linear.outputs - 1) / Tile::kOutputs + 1),
          static_cast<unsigned int>((rows - 1) / Tile::kRows + 1)};
}

/// Lets a kernel of a linear layer have its dynamic shared memory. Throws UsageError where it is compiled for
/// no tensor cores that it could use.
template <typename Kernel>
void prepare_linear(Kernel kernel, size_t shared_bytes) {
  const int arch = arch_of(kernel);
  if (arch < kTensorCoreArch) {
    throw UsageError("the architecture that linear layers are compiled for",
                     std::to_string(kTensorCoreArch) + " or later", std::to_string(arch));
  }
  allow_shared(kernel, shared_bytes);
}

/// Launches a layer's kernel for a LinearTile where its blocks run at once, or `anyway`: whether it did.
template <typename Tile, typename Arguments>
bool launch_tile(void (*kernel)(Arguments), const Arguments& arguments, const Linear& linear, bool anyway,
                 cudaStream_t stream) {
  const dim3 blocks = blocks_of<Tile>(linear, arguments.rows);
  constexpr size_t kShared = sizeof(SumSpace<Tile>);
  prepare_linear(kernel, kShared);
  if (!anyway && !runs_at_once(kernel, blocks, Tile::kThreads, kShared)) return false;
  launch_early(kernel, blocks, Tile::kThreads, kShared, stream, arguments);
  return true;
}

}  // namespace nmt_trt::cuda
