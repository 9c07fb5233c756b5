#include <cstdint>

#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/linear_checks.h"
#include "cuda/kernels/warp_row.cuh"
#include "cuda/linear.h"

namespace nmt_trt::cuda {
namespace {

// Of a block, one row each: few rows then are in many blocks.
constexpr int kWarps = 2;

unsigned int blocks_of(int32_t rows) { return static_cast<unsigned int>((rows - 1) / kWarps + 1); }

__device__ int row_of_warp() {
  return static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarpSize;
}

template <typename T>
__device__ float4 widen(const T* numbers) {
  const uint2 packed = *reinterpret_cast<const uint2*>(numbers);
  T values[4];
  memcpy(values, &packed, sizeof(packed));
  return make_float4(to_float(values[0]), to_float(values[1]), to_float(values[2]), to_float(values[3]));
}

template <typename T>
__global__ void __launch_bounds__(kWarps* kWarpSize)
    embed_tokens_kernel(const Embedding embedding, const int32_t* token, const int32_t* position, float* out,
                        int32_t rows) {
  let_next_kernel_begin();
  wait_for_earlier_kernels();
  const int row = row_of_warp();
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  if (row >= rows) return;
  const int columns = embedding.columns;
  const T* entry = static_cast<const T*>(embedding.table) + static_cast<int64_t>(token[row]) * columns;
  const float* place = embedding.positions + static_cast<int64_t>(*position) * columns;
  WarpRow values;
  WarpRow::for_each_part(columns, lane, [&](int p, int column) {
    const float4 word = widen(entry + column);
    const float4 shift = *reinterpret_cast<const float4*>(place + column);
    values.parts[p] =
        make_float4(fmaf(word.x, embedding.scale, shift.x), fmaf(word.y, embedding.scale, shift.y),
                    fmaf(word.z, embedding.scale, shift.z), fmaf(word.w, embedding.scale, shift.w));
  });
  if (embedding.norm.gain != nullptr) values.normalize(embedding.norm, columns, lane);
  values.store(out + static_cast<int64_t>(row) * columns, columns, lane);
}

__global__ void __launch_bounds__(kWarps* kWarpSize)
    normalize_rows_kernel(const float* x, const Norm norm, float* out, int32_t rows, int32_t columns) {
  let_next_kernel_begin();
  wait_for_earlier_kernels();
  const int row = row_of_warp();
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  if (row >= rows) return;
  WarpRow values;
  values.load(x + static_cast<int64_t>(row) * columns, columns, lane);
  values.normalize(norm, columns, lane);
  values.store(out + static_cast<int64_t>(row) * columns, columns, lane);
}

}  // namespace

void embed_tokens(const Embedding& embedding, const int32_t* token, const int32_t* position, float* out,
                  int32_t rows, DataType type, cudaStream_t stream) {
  check_columns("columns to normalize", embedding.columns, kMaxNormalized);
  if (rows == 0) return;
  with_linear_type(type, [&](auto number) {
    launch_early(embed_tokens_kernel<decltype(number)>, blocks_of(rows), kWarps * kWarpSize, 0, stream,
                 embedding, token, position, out, rows);
  });
}

void normalize_rows(const float* x, const Norm& norm, float* out, int32_t rows, int32_t columns,
                    cudaStream_t stream) {
  check_columns("columns to normalize", columns, kMaxNormalized);
  if (rows == 0) return;
  launch_early(normalize_rows_kernel, blocks_of(rows), kWarps * kWarpSize, 0, stream, x, norm, out, rows,
               columns);
}

}  // namespace nmt_trt::cuda
