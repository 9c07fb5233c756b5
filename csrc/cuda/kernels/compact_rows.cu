#include <cstdint>
#include <cub/block/block_scan.cuh>

#include "cuda/check.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {
namespace {

constexpr int kThreads = 256;

// One block.
__global__ void __launch_bounds__(kThreads)
    compact_rows_kernel(SearchState state, StepInputs old_inputs, StepInputs new_inputs, bool keep_all,
                        int32_t* source_row) {
  using Scan = cub::BlockScan<int32_t, kThreads>;
  __shared__ typename Scan::TempStorage storage;
  const auto thread = static_cast<int32_t>(threadIdx.x);
  int32_t kept = 0;
  for (int32_t first = 0; first < old_inputs.rows; first += kThreads) {
    const int32_t row = first + thread;
    const int32_t sentence = row < old_inputs.rows ? old_inputs.sentence[row] : -1;
    const bool keep = sentence >= 0 && (keep_all || state.finished[sentence] == 0);
    int32_t place = 0;
    int32_t count = 0;
    Scan(storage).ExclusiveSum(keep ? 1 : 0, place, count);
    __syncthreads();
    place += kept;
    if (keep && place < new_inputs.rows) {
      source_row[place] = row;
      new_inputs.sentence[place] = sentence;
    }
    kept += count;
  }
  for (int32_t row = kept + thread; row < new_inputs.rows; row += kThreads) {
    source_row[row] = -1;
    new_inputs.sentence[row] = -1;
  }
  __syncthreads();
  const int32_t beam_size = state.beam_size;
  for (int32_t i = thread; i < new_inputs.rows * beam_size; i += kThreads) {
    const int32_t source = source_row[i / beam_size];
    new_inputs.token[i] = source < 0 ? state.pad : old_inputs.token[source * beam_size + i % beam_size];
  }
  if (thread == 0) *new_inputs.position = min(*state.steps, new_inputs.max_position);
}

}  // namespace

void compact_rows(const SearchState& state, const StepInputs& old_inputs, const StepInputs& new_inputs,
                  bool keep_all, int32_t* source_row, cudaStream_t stream) {
  if (new_inputs.rows == 0) return;
  compact_rows_kernel<<<1, kThreads, 0, stream>>>(state, old_inputs, new_inputs, keep_all, source_row);
  NMT_TRT_CUDA_LAUNCHED(compact_rows_kernel);
}

}  // namespace nmt_trt::cuda
