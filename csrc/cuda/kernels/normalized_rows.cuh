#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/kernels/linear_parts.cuh"
#include "cuda/kernels/linear_tile.cuh"

namespace nmt_trt::cuda {

/// LayerNorm's gain and shift of a warp's columns.
template <typename Tile>
struct HeldNorm {
  Columns gain[Tile::kHeld];
  Columns shift[Tile::kHeld];

  __device__ void load(const Norm& norm, const LinearPlace<Tile>& place) {
#pragma unroll
    for (int c = 0; c < Tile::kHeld; ++c) {
      if (place.chunk + c >= place.end) continue;
      const int column = (place.chunk + c) * kChunk + lane_column(place.lane);
      gain[c] = load_constant_columns(norm.gain + column);
      shift[c] = load_constant_columns(norm.shift + column);
    }
  }
};

/// What a warp's columns of a row say about the row's mean and variance.
struct RowShare {
  float mean;
  float squares;  // of the differences from `mean`, summed
};

/// The shares of all warps in a block's rows.
template <typename Tile>
struct RowShares {
  RowShare shares[Tile::kWarps][Tile::kRows];
};

/// A warp's columns of a block's rows. The order of additions depends on the number of columns alone.
template <typename Tile>
class HeldRows {
 public:
  /// What can be known of them before they are there.
  __device__ explicit HeldRows(const LinearPlace<Tile>& place) {
    const int chunks = place.end - place.chunk;
    portion_ = chunks > 0 ? __fdividef(1.0F, static_cast<float>(chunks * kChunk)) : 0.0F;
#pragma unroll
    for (int c = 0; c < Tile::kHeld; ++c) stores_[c] = (place.chunk + c) % gridDim.x == blockIdx.x;
  }

  /// Rows past the last repeat it.
  __device__ void load(const float* stream, int inputs, int rows, const LinearPlace<Tile>& place) {
    for_each_chunk(place, [&](int n, int c) {
      const int row = min(place.first_row + n * kTileRows + lane_row(place.lane), rows - 1);
      columns_[n][c] = load_columns(stream + offset(place, inputs, row, c));
    });
  }

  /// Each chunk by one of the blocks of a row.
  __device__ void store(float* kept, int inputs, int rows, const LinearPlace<Tile>& place) const {
    for_each_chunk(place, [&](int n, int c) {
      if (!stores_[c]) return;
      const int row = place.first_row + n * kTileRows + lane_row(place.lane);
      if (row < rows) store_columns(kept + offset(place, inputs, row, c), columns_[n][c]);
    });
  }

  /// The first half of LayerNorm, before a barrier: tells the block what this warp's columns say.
  __device__ void share(RowShares<Tile>& space, const LinearPlace<Tile>& place) {
#pragma unroll
    for (int n = 0; n < Tile::kRowTiles; ++n) {
      float sum = 0.0F;
      for_each_column(place, n, [&](float& value) { sum += value; });
      means_[n] = row_sum(sum) * portion_;
      float squares = 0.0F;
      for_each_column(place, n, [&](float& value) {
        value -= means_[n];
        squares = fmaf(value, value, squares);
      });
      squares = row_sum(squares);
      if (place.lane % 4 == 0) {
        space.shares[place.warp][n * kTileRows + lane_row(place.lane)] = {means_[n], squares};
      }
    }
  }

  /// The second half, behind the barrier.
  __device__ void normalize(const RowShares<Tile>& space, const HeldNorm<Tile>& norm, int inputs,
                            float epsilon, const LinearPlace<Tile>& place) {
    const float portion = __fdividef(1.0F, static_cast<float>(inputs));
#pragma unroll
    for (int n = 0; n < Tile::kRowTiles; ++n) {
      const auto [mean, scale] = moments(space, n, inputs / kChunk, portion, epsilon, place.lane);
      const float middle = (means_[n] - mean) * scale;
#pragma unroll
      for (int c = 0; c < Tile::kHeld; ++c) {
        if (place.chunk + c >= place.end) continue;
#pragma unroll
        for (int i = 0; i < kLaneColumns; ++i) {
          const float normal = fmaf(columns_[n][c].values[i], scale, middle);
          columns_[n][c].values[i] = fmaf(normal, norm.gain[c].values[i], norm.shift[c].values[i]);
        }
      }
    }
  }

  __device__ void multiply(float factor, const LinearPlace<Tile>& place) {
#pragma unroll
    for (int n = 0; n < Tile::kRowTiles; ++n) {
      for_each_column(place, n, [&](float& value) { value *= factor; });
    }
  }

  template <typename T>
  __device__ void round(const LinearPlace<Tile>& place,
                        uint4 (&rounded)[Tile::kRowTiles][Tile::kHeld]) const {
    for_each_chunk(place, [&](int n, int c) { rounded[n][c] = round_columns<T>(columns_[n][c]); });
  }

 private:
  struct Moments {
    float mean;
    float scale;  // 1 / sqrt(variance + epsilon)
  };

  // Of a row from its shares, two of them in each of the row's four lanes (Chan, Golub and LeVeque, "Updating
  // Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979, for any number of parts).
  __device__ static Moments moments(const RowShares<Tile>& space, int n, int chunks, float portion,
                                    float epsilon, int lane) {
    static_assert(Tile::kWarps == 8);
    const int first = lane % 4 * 2;
    const RowShare& one = space.shares[first][n * kTileRows + lane_row(lane)];
    const RowShare& other = space.shares[first + 1][n * kTileRows + lane_row(lane)];
    const float size_of_one = columns_of(first, chunks);
    const float size_of_other = columns_of(first + 1, chunks);
    const float mean = row_sum(fmaf(size_of_one, one.mean, size_of_other * other.mean)) * portion;
    const float squares = fmaf(size_of_one * (one.mean - mean), one.mean - mean, one.squares) +
                          fmaf(size_of_other * (other.mean - mean), other.mean - mean, other.squares);
    return {mean, rsqrtf(fmaf(row_sum(squares), portion, epsilon))};
  }

  __device__ static float columns_of(int warp, int chunks) {
    const int own = first_chunk(warp + 1, chunks) - first_chunk(warp, chunks);
    return static_cast<float>(own * kChunk);
  }

  template <typename Call>
  __device__ static void for_each_chunk(const LinearPlace<Tile>& place, const Call& call) {
#pragma unroll
    for (int n = 0; n < Tile::kRowTiles; ++n) {
#pragma unroll
      for (int c = 0; c < Tile::kHeld; ++c) {
        if (place.chunk + c < place.end) call(n, c);
      }
    }
  }

  template <typename Call>
  __device__ void for_each_column(const LinearPlace<Tile>& place, int n, const Call& call) {
#pragma unroll
    for (int c = 0; c < Tile::kHeld; ++c) {
      if (place.chunk + c >= place.end) continue;
#pragma unroll
      for (int i = 0; i < kLaneColumns; ++i) call(columns_[n][c].values[i]);
    }
  }

  __device__ static int64_t offset(const LinearPlace<Tile>& place, int inputs, int row, int c) {
    return static_cast<int64_t>(row) * inputs + (place.chunk + c) * kChunk + lane_column(place.lane);
  }

  Columns columns_[Tile::kRowTiles][Tile::kHeld];
  float portion_;                 // 1 / the warp's columns
  bool stores_[Tile::kHeld];      // chunks that are this block's to store
  float means_[Tile::kRowTiles];  // of this warp's columns, which share() subtracts
};

}  // namespace nmt_trt::cuda
