#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "cuda/kernels/float_types.h"
#include "cuda/kernels/tensor_core.cuh"
#include "cuda/kernels/warp.h"
#include "cuda/linear.h"

namespace nmt_trt::cuda {

// How the warps of a linear layer hold its operands. The weights are the left operand of the tensor cores, 16
// outputs at a time, and the rows the right one, 8 at a time. The columns that are summed up come in chunks
// of 32, of which lane l holds columns 8 * (l % 4) to 8 * (l % 4) + 7 of output or row l / 4: one load of 16
// bytes. The tensor cores do not care which column is which as long as both operands agree, so that two
// products of 16 columns take those 8 in the order in which they lie.

constexpr int kChunk = kLinearColumns;
constexpr int kLaneColumns = 8;  // of a chunk
constexpr int kTileOutputs = 16;
constexpr int kTileRows = 8;

/// Of this lane: the row, or the lower output, of a tile, and its first column of a chunk.
__device__ inline int lane_row(int lane) { return lane / 4; }
__device__ inline int lane_column(int lane) { return lane % 4 * kLaneColumns; }

/// A lane's part of 16 outputs' weights.
struct WeightPart {
  uint4 lower;  // output lane_row()
  uint4 upper;  // output lane_row() + 8
};

/// 16 bytes that no kernel writes, read once by a block.
__device__ inline uint4 load_constant(const void* address) {
  uint4 value;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(address));
  return value;
}

/// sums of 16 outputs by 8 rows += weights times rows, over one chunk.
template <typename T>
__device__ void add_chunk(float (&sums)[4], const WeightPart& weights, const uint4& rows) {
  const uint32_t first[4] = {weights.lower.x, weights.upper.x, weights.lower.y, weights.upper.y};
  const uint32_t second[4] = {weights.lower.z, weights.upper.z, weights.lower.w, weights.upper.w};
  multiply_add<T>(sums, first, rows.x, rows.y);
  multiply_add<T>(sums, second, rows.z, rows.w);
}

/// 8 columns of float32.
struct Columns {
  float values[kLaneColumns];
};

/// Of what an earlier kernel wrote, past the L1 cache.
__device__ inline Columns load_columns(const float* address) {
  Columns columns;
  const float4 lower = __ldcg(reinterpret_cast<const float4*>(address));
  const float4 upper = __ldcg(reinterpret_cast<const float4*>(address) + 1);
  memcpy(&columns.values[0], &lower, sizeof(lower));
  memcpy(&columns.values[4], &upper, sizeof(upper));
  return columns;
}

__device__ inline Columns load_constant_columns(const float* address) {
  Columns columns;
  const uint4 lower = load_constant(address);
  const uint4 upper = load_constant(address + 4);
  memcpy(&columns.values[0], &lower, sizeof(lower));
  memcpy(&columns.values[4], &upper, sizeof(upper));
  return columns;
}

__device__ inline void store_columns(float* address, const Columns& columns) {
  float4 halves[2];
  memcpy(halves, columns.values, sizeof(halves));
  reinterpret_cast<float4*>(address)[0] = halves[0];
  reinterpret_cast<float4*>(address)[1] = halves[1];
}

__device__ inline uint32_t round_pair(float first, float second, __half) {
  const __half2 pair = __floats2half2_rn(first, second);
  uint32_t packed;
  memcpy(&packed, &pair, sizeof(packed));
  return packed;
}
__device__ inline uint32_t round_pair(float first, float second, __nv_bfloat16) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  uint32_t packed;
  memcpy(&packed, &pair, sizeof(packed));
  return packed;
}

/// Rounded to T, as the right operand.
template <typename T>
__device__ uint4 round_columns(const Columns& columns) {
  const float (&values)[kLaneColumns] = columns.values;
  return make_uint4(round_pair(values[0], values[1], T{}), round_pair(values[2], values[3], T{}),
                    round_pair(values[4], values[5], T{}), round_pair(values[6], values[7], T{}));
}

/// Four numbers rounded to T, to an address that is a multiple of 8.
template <typename T>
__device__ void store_rounded(T* to, const float4& values) {
  *reinterpret_cast<uint2*>(to) =
      make_uint2(round_pair(values.x, values.y, T{}), round_pair(values.z, values.w, T{}));
}

/// Warps that share the columns of a row.
constexpr int kSharingWarps = 8;

/// The first chunk of the warp among those that share `chunks`; also the end of the warp before it. Shows in
/// the order of additions.
__device__ inline int first_chunk(int warp, int chunks) { return warp * chunks / kSharingWarps; }

/// Sum over the four lanes of a row; all get it.
__device__ inline float row_sum(float value) {
  value += __shfl_xor_sync(kAllLanes, value, 1);
  value += __shfl_xor_sync(kAllLanes, value, 2);
  return value;
}

}  // namespace nmt_trt::cuda
