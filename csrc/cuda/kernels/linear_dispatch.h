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

/// Blocks that a linear layer should have at least, to use most of a large GPU.
constexpr unsigned int kWantedBlocks = 96;

template <typename Tile>
dim3 blocks_of(const Linear& linear, int32_t rows) {
  return {static_cast<unsigned int>((linear.outputs - 1) / Tile::kOutputs + 1),
          static_cast<unsigned int>((rows - 1) / Tile::kRows + 1)};
}

/// call(Tile{}) with the first of several tiles, the largest first, that gives enough blocks, or with the
/// last.
template <typename Tile, typename... Smaller, typename Call>
void with_tile(const Linear& linear, int32_t rows, const Call& call) {
  if constexpr (sizeof...(Smaller) > 0) {
    const dim3 blocks = blocks_of<Tile>(linear, rows);
    if (blocks.x * blocks.y < kWantedBlocks) {
      return with_tile<Smaller...>(linear, rows, call);
    }
  }
  call(Tile{});
}

/// launch_early() of a kernel of a linear layer. Throws UsageError where it is compiled for no tensor cores
/// that it could use.
template <typename... Parameters, typename... Arguments>
void launch_linear(void (*kernel)(Parameters...), dim3 blocks, int threads, size_t shared_bytes,
                   cudaStream_t stream, const Arguments&... arguments) {
  const int arch = arch_of(kernel);
  if (arch < kTensorCoreArch) {
    throw UsageError("the architecture that linear layers are compiled for",
                     std::to_string(kTensorCoreArch) + " or later", std::to_string(arch));
  }
  allow_shared(kernel, shared_bytes);
  launch_early(kernel, blocks, threads, shared_bytes, stream, arguments...);
}

}  // namespace nmt_trt::cuda
