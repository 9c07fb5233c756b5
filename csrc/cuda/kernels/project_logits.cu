#include <algorithm>
#include <cstdint>

#include "cuda/kernels/device_limits.h"
#include "cuda/kernels/linear_checks.h"
#include "cuda/kernels/linear_dispatch.h"
#include "cuda/kernels/logits_few_rows.cuh"
#include "cuda/kernels/many_rows.cuh"
#include "cuda/kernels/rounded_rows.cuh"
#include "cuda/kernels/store_logits.cuh"
#include "cuda/linear.h"

namespace nmt_trt::cuda {
namespace {

// Blocks take tiles of the vocabulary by turns, `together` of them at a time.
template <typename Tile>
dim3 blocks_of(int32_t outputs, int32_t rows, int32_t together) {
  const int32_t row_tiles = (rows - 1) / Tile::kRows + 1;
  const int32_t most = std::max(processors() / row_tiles, 1);
  const int32_t tiles = (outputs - 1) / Tile::kOutputs + 1;
  return {static_cast<unsigned int>(std::min(most, (tiles - 1) / together + 1)),
          static_cast<unsigned int>(row_tiles)};
}

template <typename T, typename Tile>
void launch_few(const LogitsArguments<T>& arguments, cudaStream_t stream) {
  const auto kernel = logits_few_rows_kernel<T, Tile>;
  const size_t shared = sizeof(T) * static_cast<size_t>(Tile::kRows * row_stride(arguments.inputs));
  prepare_linear(kernel, shared);
  launch_early(kernel, blocks_of<Tile>(arguments.to.outputs, arguments.to.rows, Tile::kWarps), Tile::kThreads,
               shared, stream, arguments);
}

template <typename T, typename Tile>
__global__ void __launch_bounds__(Tile::kThreads)
    logits_many_rows_kernel(const RoundedLinear linear, const LogitsPlace to) {
#if __CUDA_ARCH__ >= 800
  extern __shared__ char many_rows_space[];
  multiply_many_rows<T, Tile, false>(
      linear, many_rows_space, [&](const WarpSums<Tile>& sums, int output, int row, char*) {
        store_logits(to, output, row, static_cast<int>(threadIdx.x) % kWarpSize, sums.tiles);
      });
#endif
}

// Whether the device has the shared memory for it.
template <typename T, typename Tile>
bool launch_many(const LogitsArguments<T>& arguments, T* rounded, cudaStream_t stream) {
  const auto kernel = logits_many_rows_kernel<T, Tile>;
  const size_t shared = Tile::shared_bytes(arguments.inputs);
  if (!has_shared(shared)) return false;
  const LogitsPlace& to = arguments.to;
  prepare_linear(kernel, shared);
  round_rows(arguments.input, arguments.inputs, to.rows, rounded, stream);
  const RoundedLinear linear = {rounded, arguments.weight, arguments.inputs, to.outputs, to.rows};
  launch_early(kernel, blocks_of<Tile>(to.outputs, to.rows, 1), Tile::kThreads, shared, stream, linear, to);
  return true;
}

template <typename T>
void launch(const LogitsArguments<T>& arguments, T* rounded, cudaStream_t stream) {
  constexpr int32_t kFew = 32;
  if (arguments.to.rows <= kTileRows) return launch_few<T, FewRows<1>>(arguments, stream);
  if (arguments.to.rows > kFew) {
    if (launch_many<T, ManyRows<128>>(arguments, rounded, stream)) return;
    if (launch_many<T, ManyRows<64>>(arguments, rounded, stream)) return;
  }
  launch_few<T, FewRows<4>>(arguments, stream);
}

}  // namespace

void project_logits(const Normalized& input, const Linear& linear, float factor, void* scratch, float* logits,
                    int32_t rows, DataType type, cudaStream_t stream) {
  check_columns("inputs of a linear layer", linear.inputs, kMaxNormalized);
  if (rows == 0) return;
  with_linear_type(type, [&](auto number) {
    using T = decltype(number);
    const LogitsPlace to = {logits, linear.bias, linear.outputs, rows, factor};
    const LogitsArguments<T> arguments = {input, static_cast<const T*>(linear.weight), linear.inputs, to};
    launch(arguments, static_cast<T*>(scratch), stream);
  });
}

}  // namespace nmt_trt::cuda
