#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace nmt_trt::cuda {

// Instructions of compute capability 8.0 and above, as the PTX ISA describes them under the names given here.
// A warp shares the elements of a matrix out to its lanes: "pair p of row r" are elements 2 * p and 2 * p +
// 1, both in one register, the first in the lower half.

/// That capability as cudaFuncAttributes::ptxVersion counts it.
constexpr int kTensorCoreArch = 80;

/// cp.async: starts copying 16 bytes from global to shared memory, or filling them with zeros. Both addresses
/// are multiples of 16.
__device__ inline void start_copy(void* shared, const void* global, bool zeros) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  const int bytes = zeros ? 0 : 16;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
}

/// The same of 8 bytes, at multiples of 8.
__device__ inline void start_short_copy(void* shared, const void* global, bool zeros) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  const int bytes = zeros ? 0 : 8;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
}

/// cp.async.wait_all: waits for the copies that this thread has started.
__device__ inline void finish_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

/// cp.async.commit_group: what this thread has started copying since the last time is a group.
__device__ inline void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// cp.async.wait_group: waits for all but the last kRunning groups of this thread.
template <int kRunning>
__device__ void finish_copies_but() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kRunning) : "memory");
}

/// ldmatrix: four matrices of 8 x 8 16-bit numbers from shared memory. Lane l tells where row l % 8 of matrix
/// l / 8 is, at a multiple of 16, and gets pair l % 4 of row l / 4 of each.
__device__ inline void load_matrices(const void* row, uint32_t (&matrices)[4]) {
  const auto from = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(from)
               : "memory");
}

/// The same, but a lane gets pair l % 4 of column l / 4 of each.
__device__ inline void load_matrices_transposed(const void* row, uint32_t (&matrices)[4]) {
  const auto from = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(from)
               : "memory");
}

#if __CUDA_ARCH__ >= 900
/// stmatrix, of compute capability 9.0: the other way round.
__device__ inline void store_matrices_transposed(void* row, const uint32_t (&matrices)[4]) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to),
               "r"(matrices[0]), "r"(matrices[1]), "r"(matrices[2]), "r"(matrices[3])
               : "memory");
}
#endif

/// mma.m16n8k16: sums += left * right with fp32 sums.
/// left, 16 x 16: lane l has pair l % 4 of rows l / 4 and l / 4 + 8, then pair l % 4 + 4 of the same rows.
/// right, 16 x 8: pairs l % 4 and l % 4 + 4 of column l / 4.
/// sums, 16 x 8: the two elements of pair l % 4 of row l / 4, then of row l / 4 + 8.
template <typename T>
__device__ void multiply_add(float (&sums)[4], const uint32_t (&left)[4], uint32_t right_first,
                             uint32_t right_second) {
  static_assert(std::is_same_v<T, __half> || std::is_same_v<T, __nv_bfloat16>);
  if constexpr (std::is_same_v<T, __half>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right_first), "r"(right_second));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right_first), "r"(right_second));
  }
}

}  // namespace nmt_trt::cuda
