#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/linear_parts.cuh"
#include "cuda/kernels/rounded_rows.cuh"
#include "cuda/kernels/store_logits.cuh"
#include "cuda/linear.h"

namespace nmt_trt::cuda {

/// For few rows: the weights are most of what is read, each once, and each warp streams those of kOutputs
/// tokens against the rows of its block, which lie normalized in shared memory.
template <int kTilesIn>
struct FewRows {
  static constexpr int kRowTiles = kTilesIn;
  static constexpr int kRows = kTilesIn * kTileRows;
  static constexpr int kOutputs = kTileOutputs;
  static constexpr int kWarps = 16;
  static constexpr int kThreads = kWarps * kWarpSize;
  // Chunks that a warp has under way.
  static constexpr int kHeld = 4;
};

template <typename T>
struct LogitsArguments {
  Normalized input;
  const T* weight;
  int32_t inputs;
  LogitsPlace to;
};

/// Of T between rows in shared memory: the lanes of two rows then read from different banks.
__host__ __device__ inline int row_stride(int inputs) { return inputs % 64 == 0 ? inputs + 32 : inputs; }

template <typename Tile>
struct StreamedWeights {
  WeightPart parts[Tile::kHeld];

  // Outputs past the last repeat it.
  template <typename T>
  __device__ void load(const LogitsArguments<T>& arguments, int tile, int chunk, int chunks, int lane) {
    const int output = tile * Tile::kOutputs + lane_row(lane);
    const T* lower = column(arguments, output, chunk, lane);
    const T* upper = column(arguments, output + 8, chunk, lane);
#pragma unroll
    for (int c = 0; c < Tile::kHeld; ++c) {
      if (chunk + c >= chunks) continue;
      parts[c] = {load_constant(lower + c * kChunk), load_constant(upper + c * kChunk)};
    }
  }

 private:
  template <typename T>
  __device__ static const T* column(const LogitsArguments<T>& arguments, int output, int chunk, int lane) {
    const int64_t row = min(output, arguments.to.outputs - 1);
    return arguments.weight + row * arguments.inputs + chunk * kChunk + lane_column(lane);
  }
};

template <typename T, typename Tile>
__device__ void add_chunks(const LogitsArguments<T>& arguments, const StreamedWeights<Tile>& weights,
                           const T* staged, int chunk, int chunks, int lane,
                           float (&sums)[Tile::kRowTiles][4]) {
  const int stride = row_stride(arguments.inputs);
  const T* first = staged + lane_row(lane) * stride + lane_column(lane);
#pragma unroll
  for (int c = 0; c < Tile::kHeld; ++c) {
    if (chunk + c >= chunks) continue;
#pragma unroll
    for (int n = 0; n < Tile::kRowTiles; ++n) {
      const T* part = first + n * kTileRows * stride + (chunk + c) * kChunk;
      add_chunk<T>(sums[n], weights.parts[c], *reinterpret_cast<const uint4*>(part));
    }
  }
}

/// A block's rows to shared memory; rows past the last repeat it.
template <typename T, typename Tile>
__device__ void stage_rows(const LogitsArguments<T>& arguments, int first_row, int warp, int lane,
                           T* staged) {
#pragma unroll
  for (int local = warp; local < Tile::kRows; local += Tile::kWarps) {
    T* to = staged + local * row_stride(arguments.inputs);
    round_row<T>(arguments.input, arguments.inputs, min(first_row + local, arguments.to.rows - 1), lane,
                 [to](int column) { return to + column; });
  }
}

// Grid: any number, rows by the tile.
template <typename T, typename Tile>
__global__ void __launch_bounds__(Tile::kThreads) logits_few_rows_kernel(const LogitsArguments<T> arguments) {
#if __CUDA_ARCH__ >= 800
  extern __shared__ uint4 space[];
  T* staged = reinterpret_cast<T*>(space);
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int first_row = static_cast<int>(blockIdx.y) * Tile::kRows;
  const int chunks = arguments.inputs / kChunk;
  const int tiles = (arguments.to.outputs - 1) / Tile::kOutputs + 1;
  const int warps = static_cast<int>(gridDim.x) * Tile::kWarps;
  // Neighbouring warps of a block take tiles of different places: the last round is shared by all blocks.
  int tile = warp * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
  StreamedWeights<Tile> weights;
  if (tile < tiles) weights.load(arguments, tile, 0, chunks, lane);
  let_next_kernel_begin();
  wait_for_earlier_kernels();
  stage_rows<T, Tile>(arguments, first_row, warp, lane, staged);
  __syncthreads();

  for (; tile < tiles; tile += warps) {
    float sums[Tile::kRowTiles][4] = {};
    for (int chunk = 0; chunk < chunks; chunk += Tile::kHeld) {
      const bool last = chunk + Tile::kHeld >= chunks;
      const int next_tile = last ? tile + warps : tile;
      StreamedWeights<Tile> next;
      if (next_tile < tiles) next.load(arguments, next_tile, last ? 0 : chunk + Tile::kHeld, chunks, lane);
      add_chunks<T, Tile>(arguments, weights, staged, chunk, chunks, lane, sums);
      weights = next;
    }
    store_logits(arguments.to, tile * Tile::kOutputs, first_row, lane, sums);
  }
#endif
}

}  // namespace nmt_trt::cuda
