#include <cstdint>

#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/linear_checks.h"
#include "cuda/kernels/linear_dispatch.h"
#include "cuda/kernels/linear_parts.cuh"
#include "cuda/kernels/linear_tile.cuh"
#include "cuda/linear.h"

namespace nmt_trt::cuda {
namespace {

template <typename T>
struct Arguments {
  const T* x;
  const T* weight;
  const float* bias;
  int32_t inputs, outputs, rows;
  float factor;
  const float* residual;
  float* out;
};

template <typename T, typename Tile>
__device__ void load_rows(const Arguments<T>& arguments, const LinearPlace<Tile>& place, int chunk,
                          uint4 (&rows)[Tile::kRowTiles][Tile::kHeld]) {
#pragma unroll
  for (int n = 0; n < Tile::kRowTiles; ++n) {
    const int row = min(place.first_row + n * kTileRows + lane_row(place.lane), arguments.rows - 1);
    const T* from =
        arguments.x + static_cast<int64_t>(row) * arguments.inputs + chunk * kChunk + lane_column(place.lane);
#pragma unroll
    for (int c = 0; c < Tile::kHeld; ++c) {
      if (chunk + c < place.end) rows[n][c] = __ldcg(reinterpret_cast<const uint4*>(from + c * kChunk));
    }
  }
}

// Grid: outputs, rows by the tile.
template <typename T, typename Tile>
__global__ void __launch_bounds__(Tile::kThreads) residual_linear_kernel(const Arguments<T> arguments) {
#if __CUDA_ARCH__ >= 800
  extern __shared__ uint4 shared[];
  auto& space = *reinterpret_cast<SumSpace<Tile>*>(shared);
  const LinearPlace<Tile> place(arguments.inputs);
  HeldWeights<Tile> weights;
  weights.load(arguments.weight, arguments.inputs, arguments.outputs, place, place.chunk);
  HeldBias<Tile> bias;
  bias.load(arguments.bias, place, arguments.rows, arguments.outputs);
  let_next_kernel_begin();
  wait_for_earlier_kernels();

  uint4 rows[Tile::kRowTiles][Tile::kHeld];
  load_rows(arguments, place, place.chunk, rows);
  float4 residual[Tile::kGroupsOfThread];
  for_each_group(place, arguments.rows, arguments.outputs, [&](int i, int row, int output) {
    residual[i] = __ldcg(reinterpret_cast<const float4*>(
        arguments.residual + static_cast<int64_t>(row) * arguments.outputs + output));
  });
  LinearSums<Tile> sums;
  sums.template add<T>(weights, rows, place.chunk, place.end);
  for (int chunk = place.chunk + Tile::kHeld; chunk < place.end; chunk += Tile::kHeld) {
    weights.load(arguments.weight, arguments.inputs, arguments.outputs, place, chunk);
    load_rows(arguments, place, chunk, rows);
    sums.template add<T>(weights, rows, chunk, place.end);
  }
  space.gather(sums, place.warp, place.lane);

  for_each_group(place, arguments.rows, arguments.outputs, [&](int i, int row, int output) {
    const float4 sum = bias.onto(space.total(row - place.first_row, output - place.first_output), i);
    const float factor = arguments.factor;
    *reinterpret_cast<float4*>(arguments.out + static_cast<int64_t>(row) * arguments.outputs + output) =
        make_float4(fmaf(factor, sum.x, residual[i].x), fmaf(factor, sum.y, residual[i].y),
                    fmaf(factor, sum.z, residual[i].z), fmaf(factor, sum.w, residual[i].w));
  });
#endif
}

template <typename Tile, typename T>
bool launch(const Arguments<T>& arguments, const Linear& linear, bool anyway, cudaStream_t stream) {
  return launch_tile<Tile>(residual_linear_kernel<T, Tile>, arguments, linear, anyway, stream);
}

}  // namespace

void residual_linear(const void* x, const Linear& linear, float factor, const float* residual, float* out,
                     int32_t rows, DataType type, cudaStream_t stream) {
  check_linear(linear);
  if (rows == 0) return;
  with_linear_type(type, [&](auto number) {
    using T = decltype(number);
    const Arguments<T> arguments = {static_cast<const T*>(x),
                                    static_cast<const T*>(linear.weight),
                                    linear.bias,
                                    linear.inputs,
                                    linear.outputs,
                                    rows,
                                    factor,
                                    residual,
                                    out};
    if (launch<LinearTile<1, 1, 8>>(arguments, linear, false, stream)) return;
    if (launch<LinearTile<2, 2, 4>>(arguments, linear, false, stream)) return;
    launch<LinearTile<4, 4, 2>>(arguments, linear, true, stream);
  });
}

}  // namespace nmt_trt::cuda
