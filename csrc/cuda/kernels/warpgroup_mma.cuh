#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace nmt_trt::cuda {

// Matrix products of four warps together, of compute capability 9.0a, as the PTX ISA describes them under
// "Asynchronous Warpgroup Level Matrix Instructions".

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// Where a matrix of rows of 128 bytes lies in shared memory, eight rows, 1024 bytes, after the other, its
/// 16-byte units swizzled by the row: unit u of row r is at u ^ (r % 8). `first` is at a multiple of 1024.
__device__ inline uint64_t describe_matrix(const void* first) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kEightRows = uint64_t{1024 / 16} << 32;
  constexpr uint64_t kUnused = uint64_t{1} << 16;
  const auto address = static_cast<uint64_t>(__cvta_generic_to_shared(first));
  return kSwizzle128 | kEightRows | kUnused | ((address & 0x3FFFF) / 16);
}

/// What a description is further along by for the next 16 columns of 16-bit numbers.
constexpr uint64_t kNextColumns = 2;

/// Before the first product of registers that were written otherwise.
__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void close_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Waits for all but the last kRunning groups.
template <int kRunning>
__device__ void finish_products_but() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kRunning) : "memory");
}

/// Shared memory that this thread wrote, or copied to, becomes visible to the products, behind a barrier.
__device__ inline void show_to_products() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

#define NMT_TRT_SUMS_4(sums, tile) \
  "+f"(sums[tile][0]), "+f"(sums[tile][1]), "+f"(sums[tile][2]), "+f"(sums[tile][3])
#define NMT_TRT_SUMS_16(sums, tile)                                                           \
  NMT_TRT_SUMS_4(sums, tile), NMT_TRT_SUMS_4(sums, tile + 1), NMT_TRT_SUMS_4(sums, tile + 2), \
      NMT_TRT_SUMS_4(sums, tile + 3)

#define NMT_TRT_MULTIPLY_64_ROWS(type)                                                                    \
  asm volatile(                                                                                           \
      "{.reg .pred onto; setp.ne.b32 onto, %34, 0;\n"                                                     \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type                                         \
      " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, " \
      "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, onto, 1, 1, 0, 0;}\n"            \
      : NMT_TRT_SUMS_16(sums, 0), NMT_TRT_SUMS_16(sums, 4)                                                \
      : "l"(outputs), "l"(rows), "r"(static_cast<int32_t>(onto)))

#define NMT_TRT_MULTIPLY_128_ROWS(type)                                                                      \
  asm volatile(                                                                                              \
      "{.reg .pred onto; setp.ne.b32 onto, %66, 0;\n"                                                        \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type                                           \
      " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, "    \
      "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, " \
      "%41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, " \
      "%61, %62, %63}, %64, %65, onto, 1, 1, 0, 0;}\n"                                                       \
      : NMT_TRT_SUMS_16(sums, 0), NMT_TRT_SUMS_16(sums, 4), NMT_TRT_SUMS_16(sums, 8),                        \
        NMT_TRT_SUMS_16(sums, 12)                                                                            \
      : "l"(outputs), "l"(rows), "r"(static_cast<int32_t>(onto)))

/// Starts sums (+)= 64 outputs by 8 * kRowTiles rows over 16 columns. Each warp of the four has 16 of the
/// outputs, in tiles of 8 rows as tensor_core.cuh's multiply_add() has them. onto: whether to what the sums
/// are already.
template <typename T, int kRowTiles>
__device__ void start_product(float (&sums)[kRowTiles][4], uint64_t outputs, uint64_t rows, bool onto) {
  static_assert(kRowTiles == 8 || kRowTiles == 16);
  static_assert(std::is_same_v<T, __half> || std::is_same_v<T, __nv_bfloat16>);
  if constexpr (std::is_same_v<T, __half> && kRowTiles == 8) {
    NMT_TRT_MULTIPLY_64_ROWS("f16");
  } else if constexpr (kRowTiles == 8) {
    NMT_TRT_MULTIPLY_64_ROWS("bf16");
  } else if constexpr (std::is_same_v<T, __half>) {
    NMT_TRT_MULTIPLY_128_ROWS("f16");
  } else {
    NMT_TRT_MULTIPLY_128_ROWS("bf16");
  }
}

#undef NMT_TRT_MULTIPLY_128_ROWS
#undef NMT_TRT_MULTIPLY_64_ROWS
#undef NMT_TRT_SUMS_16
#undef NMT_TRT_SUMS_4

#endif

}  // namespace nmt_trt::cuda
