#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/kernels/linear_parts.cuh"

namespace nmt_trt::cuda {

/// What a block of a linear layer computes: kTilesOut * 16 outputs of kTilesIn * 8 rows. Its warps share the
/// columns that are summed up, and each holds at most kHeld chunks of them in registers at a time.
template <int kTilesOut, int kTilesIn, int kHeldChunks>
struct LinearTile {
  static constexpr int kOutputTiles = kTilesOut;
  static constexpr int kRowTiles = kTilesIn;
  static constexpr int kHeld = kHeldChunks;
  static constexpr int kOutputs = kTilesOut * kTileOutputs;
  static constexpr int kRows = kTilesIn * kTileRows;
  static constexpr int kWarps = kSharingWarps;
  static constexpr int kThreads = kWarps * kWarpSize;
  // Groups of four outputs that a thread finishes.
  static constexpr int kGroups = kRows * kOutputs / 4;
  static constexpr int kGroupsOfThread = (kGroups - 1) / kThreads + 1;
};

/// Where a warp stands in its block and in the layer.
template <typename Tile>
struct LinearPlace {
  int warp, lane;
  int chunk, end;  // of this warp
  int first_output, first_row;

  __device__ explicit LinearPlace(int inputs)
      : warp(static_cast<int>(threadIdx.x) / kWarpSize),
        lane(static_cast<int>(threadIdx.x) % kWarpSize),
        chunk(first_chunk(warp, inputs / kChunk)),
        end(first_chunk(warp + 1, inputs / kChunk)),
        first_output(static_cast<int>(blockIdx.x) * Tile::kOutputs),
        first_row(static_cast<int>(blockIdx.y) * Tile::kRows) {}
};

template <typename Tile>
struct HeldWeights {
  WeightPart parts[Tile::kOutputTiles][Tile::kHeld];

  /// Chunks `chunk` and following, those before `end`. Outputs past the last repeat others.
  template <typename T>
  __device__ void load(const T* weight, int inputs, int outputs, const LinearPlace<Tile>& place, int chunk) {
#pragma unroll
    for (int m = 0; m < Tile::kOutputTiles; ++m) {
      const int output = min(place.first_output + m * kTileOutputs, outputs - kTileOutputs);
      const T* lower = weight + static_cast<int64_t>(output + lane_row(place.lane)) * inputs +
                       chunk * kChunk + lane_column(place.lane);
#pragma unroll
      for (int c = 0; c < Tile::kHeld; ++c) {
        if (chunk + c >= place.end) continue;
        parts[m][c].lower = load_constant(lower + c * kChunk);
        parts[m][c].upper = load_constant(lower + int64_t{8} * inputs + c * kChunk);
      }
    }
  }
};

template <typename Tile>
struct LinearSums {
  float values[Tile::kOutputTiles][Tile::kRowTiles][4] = {};

  template <typename T>
  __device__ void add(const HeldWeights<Tile>& weights, const uint4 (&rows)[Tile::kRowTiles][Tile::kHeld],
                      int chunk, int end) {
#pragma unroll
    for (int c = 0; c < Tile::kHeld; ++c) {
      if (chunk + c >= end) continue;
#pragma unroll
      for (int m = 0; m < Tile::kOutputTiles; ++m) {
#pragma unroll
        for (int n = 0; n < Tile::kRowTiles; ++n) {
          add_chunk<T>(values[m][n], weights.parts[m][c], rows[n][c]);
        }
      }
    }
  }
};

/// Shared memory in which the sums of all warps come together.
template <typename Tile>
struct SumSpace {
  // Rows 4 floats further apart than they are long: lanes then write to different banks.
  float values[Tile::kWarps][Tile::kRows][Tile::kOutputs + 4];

  /// Every thread of the block must come here, once.
  __device__ void gather(const LinearSums<Tile>& sums, int warp, int lane) {
#pragma unroll
    for (int m = 0; m < Tile::kOutputTiles; ++m) {
#pragma unroll
      for (int n = 0; n < Tile::kRowTiles; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int row = n * kTileRows + lane % 4 * 2 + i % 2;
          values[warp][row][m * kTileOutputs + lane / 4 + i / 2 * 8] = sums.values[m][n][i];
        }
      }
    }
    __syncthreads();
  }

  /// The sums of outputs `output` to `output` + 3 of a row, both within the block, after gather(): warp after
  /// warp.
  __device__ float4 total(int row, int output) const {
    float4 total = make_float4(0.0F, 0.0F, 0.0F, 0.0F);
#pragma unroll
    for (int w = 0; w < Tile::kWarps; ++w) {
      const float4 share = *reinterpret_cast<const float4*>(&values[w][row][output]);
      total = make_float4(total.x + share.x, total.y + share.y, total.z + share.z, total.w + share.w);
    }
    return total;
  }
};

/// The groups of four outputs that this thread finishes: call(i, row, output) for group i of the thread, both
/// within the layer; within the block they are row - first_row and output - first_output.
template <typename Tile, typename Call>
__device__ void for_each_group(const LinearPlace<Tile>& place, int rows, int outputs, const Call& call) {
  constexpr int kPerRow = Tile::kOutputs / 4;
#pragma unroll
  for (int i = 0; i < Tile::kGroupsOfThread; ++i) {
    const int group = static_cast<int>(threadIdx.x) + i * Tile::kThreads;
    const int row = place.first_row + group / kPerRow;
    const int output = place.first_output + group % kPerRow * 4;
    if (group < Tile::kGroups && row < rows && output < outputs) call(i, row, output);
  }
}

/// The bias of those groups.
template <typename Tile>
struct HeldBias {
  float4 groups[Tile::kGroupsOfThread];

  __device__ void load(const float* bias, const LinearPlace<Tile>& place, int rows, int outputs) {
    for_each_group(place, rows, outputs, [&](int i, int, int output) {
      const uint4 bits = load_constant(bias + output);
      memcpy(&groups[i], &bits, sizeof(bits));
    });
  }

  __device__ float4 onto(const float4& sum, int i) const {
    return make_float4(sum.x + groups[i].x, sum.y + groups[i].y, sum.z + groups[i].z, sum.w + groups[i].w);
  }
};

}  // namespace nmt_trt::cuda
