#include <cstdint>

#include "cuda/check.h"
#include "cuda/search.h"

namespace nmt_trt::cuda {
namespace {

constexpr int kThreads = 256;
// Blocks that share a row of an item; the heads are dealt out to them in turn.
constexpr int kBlocksPerRow = 8;

// The widest unit in which an item may be copied.
__device__ bool divisible(const GatherItem& item, size_t unit) {
  return (reinterpret_cast<uintptr_t>(item.from) | reinterpret_cast<uintptr_t>(item.to) |
          static_cast<uintptr_t>(item.from_stride) | static_cast<uintptr_t>(item.to_stride) |
          static_cast<uintptr_t>(item.copied)) %
             unit ==
         0;
}

template <typename Unit>
__device__ void copy_row(const GatherItem& item, int32_t source, int32_t row) {
  const int64_t units = item.copied / static_cast<int64_t>(sizeof(Unit));
  for (int64_t head = blockIdx.x; head < item.heads; head += gridDim.x) {
    const auto* from = reinterpret_cast<const Unit*>(static_cast<const char*>(item.from) +
                                                     (source * item.heads + head) * item.from_stride);
    auto* to =
        reinterpret_cast<Unit*>(static_cast<char*>(item.to) + (row * item.heads + head) * item.to_stride);
#pragma unroll 2
    for (int64_t i = threadIdx.x; i < units; i += kThreads) to[i] = from[i];
  }
}

__global__ void __launch_bounds__(kThreads)
    gather_rows_kernel(const GatherItem* items, const int32_t* source_row) {
  const auto row = static_cast<int32_t>(blockIdx.y);
  const int32_t source = source_row[row];
  if (source < 0) return;
  const GatherItem item = items[blockIdx.z];
  if (divisible(item, sizeof(uint4))) {
    copy_row<uint4>(item, source, row);
  } else if (divisible(item, sizeof(uint32_t))) {
    copy_row<uint32_t>(item, source, row);
  } else {
    copy_row<uint16_t>(item, source, row);
  }
}

}  // namespace

void gather_rows(const GatherItem* items, int32_t count, const int32_t* source_row, int32_t rows,
                 cudaStream_t stream) {
  if (count == 0 || rows == 0) return;
  const dim3 blocks(kBlocksPerRow, static_cast<unsigned int>(rows), static_cast<unsigned int>(count));
  gather_rows_kernel<<<blocks, kThreads, 0, stream>>>(items, source_row);
  NMT_TRT_CUDA_LAUNCHED(gather_rows_kernel);
}

}  // namespace nmt_trt::cuda
