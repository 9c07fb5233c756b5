#include <cstdint>

#include "cuda/kernels/activate.cuh"
#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/device_limits.h"
#include "cuda/kernels/linear_checks.h"
#include "cuda/kernels/linear_dispatch.h"
#include "cuda/kernels/linear_parts.cuh"
#include "cuda/kernels/linear_tile.cuh"
#include "cuda/kernels/many_rows.cuh"
#include "cuda/kernels/normalized_rows.cuh"
#include "cuda/kernels/store_rows.cuh"
#include "cuda/linear.h"

namespace nmt_trt::cuda {
namespace {

template <typename T>
struct Arguments {
  Normalized input;
  const T* weight;
  const float* bias;
  int32_t inputs, outputs, rows;
  Activated activated;
  T* out;
};

// What a warp has of a block's rows, as the weights are multiplied by it. `prepare` is called before earlier
// kernels are waited for.
template <typename T, typename Tile, typename Prepare>
__device__ void take_rows(const Arguments<T>& arguments, const LinearPlace<Tile>& place,
                          const Prepare& prepare, uint4 (&rounded)[Tile::kRowTiles][Tile::kHeld]) {
  __shared__ RowShares<Tile> shares;
  const Normalized& input = arguments.input;
  prepare();
  HeldNorm<Tile> norm;
  if (input.norm.gain != nullptr) norm.load(input.norm, place);
  HeldRows<Tile> rows(place);
  let_next_kernel_begin();
  wait_for_earlier_kernels();

  rows.load(input.stream, arguments.inputs, arguments.rows, place);
  if (input.norm.gain != nullptr) {
    rows.share(shares, place);
    __syncthreads();
    rows.normalize(shares, norm, arguments.inputs, input.norm.epsilon, place);
    if (input.kept != nullptr) rows.store(input.kept, arguments.inputs, arguments.rows, place);
  }
  if (input.factor != 1.0F) rows.multiply(input.factor, place);
  rows.template round<T>(place, rounded);
}

// Grid: outputs, rows by the tile.
template <typename T, typename Tile>
__global__ void __launch_bounds__(Tile::kThreads) normalized_linear_kernel(const Arguments<T> arguments) {
#if __CUDA_ARCH__ >= 800
  extern __shared__ uint4 shared[];
  auto& space = *reinterpret_cast<SumSpace<Tile>*>(shared);
  const LinearPlace<Tile> place(arguments.inputs);
  HeldWeights<Tile> weights;
  HeldBias<Tile> bias;
  uint4 rounded[Tile::kRowTiles][Tile::kHeld];
  const auto prepare = [&] {
    weights.load(arguments.weight, arguments.inputs, arguments.outputs, place, place.chunk);
    bias.load(arguments.bias, place, arguments.rows, arguments.outputs);
  };
  take_rows(arguments, place, prepare, rounded);
  LinearSums<Tile> sums;
  sums.template add<T>(weights, rounded, place.chunk, place.end);
  space.gather(sums, place.warp, place.lane);

  for_each_group(place, arguments.rows, arguments.outputs, [&](int i, int row, int output) {
    const float4 sum = bias.onto(space.total(row - place.first_row, output - place.first_output), i);
    float values[] = {sum.x, sum.y, sum.z, sum.w};
    activate(values, arguments.activated);
    store_rounded(arguments.out + static_cast<int64_t>(row) * arguments.outputs + output,
                  make_float4(values[0], values[1], values[2], values[3]));
  });
#endif
}

template <typename Tile, typename T>
bool launch_few(const Arguments<T>& arguments, const Linear& linear, bool anyway, cudaStream_t stream) {
  return launch_tile<Tile>(normalized_linear_kernel<T, Tile>, arguments, linear, anyway, stream);
}

// Grid: 1, rows by the tile. rounded: [rows, inputs], with the bits that normalized_linear_kernel multiplies,
// columns at their rounded_place().
template <typename T, typename Tile>
__global__ void __launch_bounds__(Tile::kThreads)
    round_rows_kernel(const Arguments<T> arguments, T* rounded) {
  const LinearPlace<Tile> place(arguments.inputs);
  uint4 rows[Tile::kRowTiles][Tile::kHeld];
  take_rows(arguments, place, [] {}, rows);
#pragma unroll
  for (int n = 0; n < Tile::kRowTiles; ++n) {
    const int row = place.first_row + n * kTileRows + lane_row(place.lane);
    T* to = rounded + static_cast<int64_t>(row) * arguments.inputs;
#pragma unroll
    for (int c = 0; c < Tile::kHeld; ++c) {
      if (place.chunk + c >= place.end || row >= arguments.rows) continue;
      const int column = (place.chunk + c) * kChunk + lane_column(place.lane);
      *reinterpret_cast<uint2*>(to + rounded_place(column)) = make_uint2(rows[n][c].x, rows[n][c].y);
      *reinterpret_cast<uint2*>(to + rounded_place(column + 4)) = make_uint2(rows[n][c].z, rows[n][c].w);
    }
  }
}

template <typename T>
void round_rows(const Arguments<T>& arguments, T* rounded, cudaStream_t stream) {
  using Tile = LinearTile<1, 1, kMaxNormalized / kChunk / kSharingWarps>;
  const dim3 blocks(1, static_cast<unsigned int>((arguments.rows - 1) / Tile::kRows + 1));
  launch_early(round_rows_kernel<T, Tile>, blocks, Tile::kThreads, 0, stream, arguments, rounded);
}

// Grid: outputs, rows by the tile.
template <typename T, typename Tile>
__global__ void __launch_bounds__(Tile::kThreads)
    many_normalized_kernel(const RoundedLinear linear, const Arguments<T> arguments) {
#if __CUDA_ARCH__ >= 800
  extern __shared__ char many_rows_space[];
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int own_output = static_cast<int>(blockIdx.x) * Tile::kOutputs + warp * kTileOutputs;
  const float* bias = arguments.bias + min(own_output, arguments.outputs - kTileOutputs) + lane_row(lane);
  const float lower = bias[0];
  const float upper = bias[8];
  const auto store = [&](WarpSums<Tile>& sums, int output, int row, char* slot) {
#pragma unroll
    for (auto& tile : sums.tiles) {
      tile[0] += lower;
      tile[1] += lower;
      tile[2] += upper;
      tile[3] += upper;
      activate(tile, arguments.activated);
    }
    char* staged = slot + warp * Tile::kRows * kStagedRowBytes;
    stage_rounded<T>(sums.tiles, staged, lane);
    store_staged<T, Tile::kRowTiles>(staged, arguments.out, arguments.rows, arguments.outputs, row, output,
                                     lane);
  };
  multiply_many_rows<T, Tile, true>(linear, many_rows_space, store);
#endif
}

// Where there are blocks for a third of the device at least, and it has the shared memory: whether it did.
template <typename T>
bool launch_many(const Arguments<T>& arguments, const Linear& linear, T* rounded, cudaStream_t stream) {
  using Tile = ManyRows<64>;
  const size_t shared = Tile::shared_bytes(arguments.inputs);
  const dim3 blocks = blocks_of<Tile>(linear, arguments.rows);
  if (3 * blocks.x * blocks.y < static_cast<unsigned int>(processors()) || !has_shared(shared)) return false;
  const auto kernel = many_normalized_kernel<T, Tile>;
  prepare_linear(kernel, shared);
  round_rows(arguments, rounded, stream);
  const RoundedLinear given = {rounded, arguments.weight, arguments.inputs, arguments.outputs,
                               arguments.rows};
  launch_early(kernel, blocks, Tile::kThreads, shared, stream, given, arguments);
  return true;
}

// All of a row's columns are held at once.
template <typename T>
void launch(const Arguments<T>& arguments, const Linear& linear, T* rounded, cudaStream_t stream) {
  constexpr int kShort = 2;
  constexpr int kLong = 4;
  static_assert(kLong * LinearTile<1, 1, kLong>::kWarps * kChunk == kMaxNormalized);
  if (linear.inputs <= kMaxNormalized / 2) {
    if (launch_few<LinearTile<1, 1, kShort>>(arguments, linear, false, stream)) return;
    if (launch_few<LinearTile<4, 1, kShort>>(arguments, linear, false, stream)) return;
    if (launch_few<LinearTile<8, 2, kShort>>(arguments, linear, false, stream)) return;
    if (launch_many(arguments, linear, rounded, stream)) return;
    launch_few<LinearTile<8, 2, kShort>>(arguments, linear, true, stream);
  } else {
    if (launch_few<LinearTile<1, 1, kLong>>(arguments, linear, false, stream)) return;
    if (launch_few<LinearTile<4, 1, kLong>>(arguments, linear, false, stream)) return;
    if (launch_many(arguments, linear, rounded, stream)) return;
    launch_few<LinearTile<4, 1, kLong>>(arguments, linear, true, stream);
  }
}

}  // namespace

void normalized_linear(const Normalized& input, const Linear& linear, const Activated& activated,
                       void* scratch, void* out, int32_t rows, DataType type, cudaStream_t stream) {
  check_linear(linear);
  check_columns("columns to normalize", linear.inputs, kMaxNormalized);
  if (rows == 0) return;
  with_linear_type(type, [&](auto number) {
    using T = decltype(number);
    const Arguments<T> arguments = {input,          static_cast<const T*>(linear.weight),
                                    linear.bias,    linear.inputs,
                                    linear.outputs, rows,
                                    activated,      static_cast<T*>(out)};
    launch(arguments, linear, static_cast<T*>(scratch), stream);
  });
}

}  // namespace nmt_trt::cuda
