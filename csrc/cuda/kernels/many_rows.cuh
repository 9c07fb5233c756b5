#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "cuda/kernels/dependent_launch.cuh"
#include "cuda/kernels/linear_parts.cuh"
#include "cuda/kernels/tensor_core.cuh"
#include "cuda/kernels/warpgroup_mma.cuh"

namespace nmt_trt::cuda {

/// A linear layer over many rows, already rounded: a block keeps its rows in shared memory, and weights come
/// through a ring there, kOutputs of them by kColumns columns at a time, for all of its warps, which share
/// the outputs.
///
/// Shared memory has blocks of kColumns columns: of each row or output 128 bytes, swizzled as
/// warpgroup_mma.cuh says. In each chunk come first the columns that the first of add_chunk()'s products
/// takes, then those of the second.
template <int kRowsOfBlock>
struct ManyRows {
  static constexpr int kRows = kRowsOfBlock;
  static constexpr int kRowTiles = kRows / kTileRows;
  static constexpr int kWarps = 8;
  static constexpr int kThreads = kWarps * kWarpSize;
  static constexpr int kOutputs = kWarps * kTileOutputs;
  static constexpr int kColumns = 2 * kChunk;
  static constexpr int kRowBytes = kColumns * 2;
  static constexpr int kSlots = 5;  // of the ring
  static constexpr int kAhead = 3;  // of them being filled
  static constexpr int kSlotBytes = kOutputs * kRowBytes;
  static constexpr int kRowsBytes = kRows * kRowBytes;  // for each block of columns
  static constexpr size_t kAlignment = 1024;

  static size_t shared_bytes(int32_t inputs) {
    const int blocks = (inputs - 1) / kColumns + 1;
    return kAlignment + size_t{kSlots} * kSlotBytes + static_cast<size_t>(blocks * kRowsBytes);
  }
};

/// Where rounded rows have a column: see ManyRows. Four neighbours stay neighbours.
__device__ inline int rounded_place(int column) {
  return column / kChunk * kChunk + column % 8 / 4 * 16 + column % kChunk / 8 * 4 + column % 4;
}

/// 16-bit numbers of a linear layer.
struct RoundedLinear {
  const void* rows;    // [rows, inputs], a row's columns at their rounded_place()
  const void* weight;  // [outputs, inputs]
  int32_t inputs, outputs, row_count;
};

/// Where 16 bytes of a row begin within a block of columns.
__device__ inline int unit_place(int row, int unit) { return row * 128 + ((unit ^ (row % 8)) * 16); }

/// Copies weights into the ring, slot after slot: tile after tile of this block, column after column.
template <typename T, typename Tile>
class RingFiller {
 public:
  __device__ RingFiller(const RoundedLinear& linear, char* ring)
      : ring_(ring),
        output_(static_cast<int>(blockIdx.x) * Tile::kOutputs + own_output()),
        inputs_(linear.inputs),
        outputs_(linear.outputs),
        from_(static_cast<const T*>(linear.weight) + static_cast<int64_t>(output_) * inputs_ +
              own_unit() * kLaneColumns) {
    // Four columns for the first product of a chunk, four for the second.
    const int quarter = own_unit() / 4 * 8 + own_unit() % 4;
    first_ = unit_place(own_output(), quarter / 2) + quarter % 2 * 8;
    second_ = unit_place(own_output(), (quarter + 4) / 2) + quarter % 2 * 8;
  }

  /// Starts filling the next slot, if anything is left. Outputs past the last are not filled, columns with
  /// zeros.
  __device__ void fill_next() {
    const bool zeros = column_ + own_unit() * kLaneColumns >= inputs_;
    char* slot = ring_ + slot_ * Tile::kSlotBytes;
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      if (output_ + i * kApart >= outputs_) continue;
      char* to = slot + i * kApart * Tile::kRowBytes;
      const T* from = from_ + column_ + static_cast<int64_t>(i * kApart) * inputs_;
      start_short_copy(to + first_, from, zeros);
      start_short_copy(to + second_, from + 4, zeros);
    }
    slot_ = slot_ + 1 == Tile::kSlots ? 0 : slot_ + 1;
    column_ += Tile::kColumns;
    if (column_ < inputs_) return;
    column_ = 0;
    const int further = static_cast<int>(gridDim.x) * Tile::kOutputs;
    output_ += further;
    from_ += static_cast<int64_t>(further) * inputs_;
  }

 private:
  static constexpr int kUnits = Tile::kRowBytes / 16;
  static constexpr int kApart = Tile::kThreads / kUnits;  // outputs that are copied at once
  static constexpr int kCopies = Tile::kOutputs / kApart;
  static_assert(kApart % 8 == 0, "all outputs of a thread are swizzled alike");

  __device__ static int own_output() { return static_cast<int>(threadIdx.x) / kUnits; }
  __device__ static int own_unit() { return static_cast<int>(threadIdx.x) % kUnits; }

  char* ring_;
  int output_, inputs_, outputs_;
  const T* from_;
  int first_, second_;
  int slot_ = 0;
  int column_ = 0;
};

/// Starts copying a block's rows; rows past the last repeat it, and columns past the last are zeros.
template <typename T, typename Tile>
__device__ void copy_rows(const RoundedLinear& linear, int first_row, char* rows) {
  constexpr int kUnits = Tile::kRowBytes / 16;
  const int units = ((linear.inputs - 1) / Tile::kColumns + 1) * kUnits;
  for (int local = static_cast<int>(threadIdx.x) / kWarpSize; local < Tile::kRows; local += Tile::kWarps) {
    const int64_t row = min(first_row + local, linear.row_count - 1);
    const T* from = static_cast<const T*>(linear.rows) + row * linear.inputs;
    for (int unit = static_cast<int>(threadIdx.x) % kWarpSize; unit < units; unit += kWarpSize) {
      start_copy(rows + unit / kUnits * Tile::kRowsBytes + unit_place(local, unit % kUnits),
                 from + unit * kLaneColumns, unit * kLaneColumns >= linear.inputs);
    }
  }
}

/// The sums of a warp's 16 outputs, in tiles of 8 rows.
template <typename Tile>
struct WarpSums {
  float tiles[Tile::kRowTiles][4];

  __device__ void clear() {
#pragma unroll
    for (auto& tile : tiles) {
#pragma unroll
      for (float& sum : tile) sum = 0.0F;
    }
  }
  __device__ void add(const WarpSums& other) {
#pragma unroll
    for (int n = 0; n < Tile::kRowTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) tiles[n][i] += other.tiles[n][i];
    }
  }
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

/// Multiplies chunks of a slot by four warps together.
template <typename T, typename Tile>
class Multiplier {
 public:
  __device__ static void show_copies() { show_to_products(); }
  /// onto: whether to what the sums are already.
  __device__ static void start(WarpSums<Tile>& sums, const char* slot, const char* rows, int chunk_of_slot,
                               bool onto) {
    const int group = static_cast<int>(threadIdx.x) / (4 * kWarpSize);
    const uint64_t outputs = describe_matrix(slot + group * 4 * kTileOutputs * Tile::kRowBytes);
    const uint64_t held = describe_matrix(rows);
    const uint64_t further = static_cast<uint64_t>(chunk_of_slot) * 2 * kNextColumns;
    begin_products();
    start_product<T>(sums.tiles, outputs + further, held + further, onto);
    start_product<T>(sums.tiles, outputs + further + kNextColumns, held + further + kNextColumns, true);
    close_products();
  }
  template <int kRunning>
  __device__ static void finish_but() {
    finish_products_but<kRunning>();
  }
};

#else

/// Multiplies chunks of a slot, each warp by itself.
template <typename T, typename Tile>
class Multiplier {
 public:
  __device__ static void show_copies() {}
  __device__ static void start(WarpSums<Tile>& sums, const char* slot, const char* rows, int chunk_of_slot,
                               bool onto) {
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    if (!onto) sums.clear();
    const int output = warp * kTileOutputs + lane_row(lane);
    const uint4 lower = read(slot, output, chunk_of_slot, lane);
    const uint4 upper = read(slot, output + 8, chunk_of_slot, lane);
#pragma unroll
    for (int n = 0; n < Tile::kRowTiles; ++n) {
      add_chunk<T>(sums.tiles[n], {lower, upper},
                   read(rows, n * kTileRows + lane_row(lane), chunk_of_slot, lane));
    }
  }
  template <int kRunning>
  __device__ static void finish_but() {}

 private:
  __device__ static uint4 read(const char* block, int row, int chunk, int lane) {
    const int quarter = chunk * 8 + lane % 4;
    const auto at = [&](int q) {
      return *reinterpret_cast<const uint2*>(block + unit_place(row, q / 2) + q % 2 * 8);
    };
    const uint2 first = at(quarter);
    const uint2 second = at(quarter + 4);
    return make_uint4(first.x, first.y, second.x, second.y);
  }
};

#endif

/// Sums over the columns, chunk after chunk; kShares: in the order of a LinearTile, whose warps share the
/// columns.
template <typename T, typename Tile, bool kShares>
class ColumnSums {
 public:
  __device__ explicit ColumnSums(int chunks) : chunks_(chunks) {
    if constexpr (kShares) skip_shares(0);
  }

  __device__ void add_slot(const char* slot, const char* rows, int chunk) {
#pragma unroll
    for (int c = 0; c < Tile::kColumns / kChunk; ++c) {
      if (c > 0 && chunk + c >= chunks_) continue;
      if constexpr (kShares) {
        Multiplier<T, Tile>::start(part_, slot, rows, c, onto_);
        onto_ = true;
        if (chunk + c + 1 == first_chunk(share_, chunks_)) take_share(chunk + c + 1);
      } else {
        Multiplier<T, Tile>::start(sums_, slot, rows, c, chunk + c > 0);
      }
    }
  }
  /// What was added before the last slot has been read.
  __device__ void finish_earlier() { Multiplier<T, Tile>::template finish_but<Tile::kColumns / kChunk>(); }
  __device__ WarpSums<Tile>& finish() {
    Multiplier<T, Tile>::template finish_but<0>();
    return sums_;
  }

 private:
  __device__ void take_share(int chunk) {
    Multiplier<T, Tile>::template finish_but<0>();
    if (any_) {
      sums_.add(part_);
    } else {
      sums_ = part_;
    }
    any_ = true;
    onto_ = false;
    skip_shares(chunk);
  }
  __device__ void skip_shares(int chunk) {
    while (share_ <= kSharingWarps && first_chunk(share_, chunks_) == chunk) ++share_;
  }

  int chunks_;
  int share_ = 1;
  bool any_ = false;
  bool onto_ = false;
  WarpSums<Tile> sums_, part_;
};

/// By all threads of a block, of a grid of any number of blocks by the rows' tiles. store(sums, first output,
/// first row, slot) is called by each warp for each of its shares of the result; behind the block's last tile
/// nobody reads or fills that slot any more.
template <typename T, typename Tile, bool kShares, typename Store>
__device__ void multiply_many_rows(const RoundedLinear& linear, char* space, const Store& store) {
  const auto past = static_cast<size_t>(__cvta_generic_to_shared(space)) % Tile::kAlignment;
  char* ring = space + (past == 0 ? 0 : Tile::kAlignment - past);
  char* rows = ring + Tile::kSlots * Tile::kSlotBytes;
  const int first_row = static_cast<int>(blockIdx.y) * Tile::kRows;
  const int chunks = linear.inputs / kChunk;
  RingFiller<T, Tile> filler(linear, ring);
  for (int i = 0; i < Tile::kAhead - 1; ++i) {
    filler.fill_next();
    close_copies();
  }
  filler.fill_next();
  let_next_kernel_begin();
  wait_for_earlier_kernels();  // for the rows
  copy_rows<T, Tile>(linear, first_row, rows);
  close_copies();
  finish_copies_but<0>();  // the rows are in the last group

  int slot = 0;
  for (int first = static_cast<int>(blockIdx.x) * Tile::kOutputs; first < linear.outputs;
       first += static_cast<int>(gridDim.x) * Tile::kOutputs) {
    ColumnSums<T, Tile, kShares> sums(chunks);
    for (int chunk = 0; chunk < chunks; chunk += Tile::kColumns / kChunk) {
      finish_copies_but<Tile::kAhead - 1>();
      Multiplier<T, Tile>::show_copies();
      sums.finish_earlier();
      __syncthreads();  // all see this slot, and have read the one that is filled next
      filler.fill_next();
      close_copies();
      sums.add_slot(ring + slot * Tile::kSlotBytes, rows + chunk / 2 * Tile::kRowsBytes, chunk);
      slot = slot + 1 == Tile::kSlots ? 0 : slot + 1;
    }
    store(sums.finish(), first + static_cast<int>(threadIdx.x) / kWarpSize * kTileOutputs, first_row,
          ring + slot * Tile::kSlotBytes);
  }
}

}  // namespace nmt_trt::cuda
