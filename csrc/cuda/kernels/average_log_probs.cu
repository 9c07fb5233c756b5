#include "cuda/average_log_probs.h"

#include "cuda/check.h"
#include "cuda/kernels/float_types.h"
#include "cuda/kernels/order.h"
#include "cuda/kernels/row_matters.cuh"
#include "cuda/kernels/row_split.h"
#include "cuda/kernels/row_sums.cuh"
#include "cuda/kernels/warp.h"

namespace nmt_trt::cuda {
namespace {

// A row is shared out as in top_log_probs.cu. The first kernel makes each warp's part of each model's sum,
// the second puts the parts together and writes the averages of each warp's tiles.
constexpr int kThreads = RowSplit::kWarps * kWarpSize;

struct Models {
  ModelLogits of[kMaxModels];
  int32_t count;
};

struct Arguments {
  Models models;
  uint32_t vocab_size;
  RowSplit split;
  PartialSum* sums;  // [models, R * K, lists]
  float* average;
};

__device__ float load(const ModelLogits& model, int64_t index) {
  switch (model.type) {
    case DataType::kFloat16:
      return to_float(static_cast<const __half*>(model.logits)[index]);
    case DataType::kBFloat16:
      return to_float(static_cast<const __nv_bfloat16*>(model.logits)[index]);
    default:
      return static_cast<const float*>(model.logits)[index];
  }
}

/// The part of a row that a warp looks at.
struct WarpPart {
  int32_t row;
  int32_t list;
  int lane;

  __device__ explicit WarpPart(const RowSplit& split)
      : row(static_cast<int32_t>(blockIdx.x) / split.blocks()),
        list(static_cast<int32_t>(blockIdx.x) % split.blocks() * RowSplit::kWarps +
             static_cast<int32_t>(threadIdx.x) / kWarpSize),
        lane(static_cast<int>(threadIdx.x) % kWarpSize) {}
};

__device__ bool matters(const SearchState& state, const int32_t* sentence_of_row, int32_t row) {
  return row_matters(state, sentence_of_row, row / state.beam_size, row % state.beam_size);
}

// blockIdx.y: the model. rows: R * K.
__global__ void __launch_bounds__(kThreads)
    sum_rows_kernel(SearchState state, const int32_t* sentence_of_row, int32_t rows,
                    const __grid_constant__ Arguments arguments) {
  const WarpPart part(arguments.split);
  if (!matters(state, sentence_of_row, part.row)) return;
  const ModelLogits& model = arguments.models.of[blockIdx.y];
  const int64_t begin = static_cast<int64_t>(part.row) * arguments.vocab_size;
  PartialSum partial = {-INFINITY, 0.0F};
  arguments.split.for_tiles(part.list, arguments.vocab_size, [&](uint32_t first) {
    float x[kPerLane];
    float max = -INFINITY;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const uint32_t token = first + static_cast<uint32_t>(i * kWarpSize + part.lane);
      x[i] = token < arguments.vocab_size ? load(model, begin + token) : -INFINITY;
      max = fmaxf(max, x[i]);
    }
    add_to_sum(partial, x, value_of_key(warp_max(order_key(max))));
  });
  const int64_t row = static_cast<int64_t>(blockIdx.y) * rows + part.row;
  if (part.lane == 0) arguments.sums[row * arguments.split.lists + part.list] = partial;
}

/// The sum of the models' probabilities of a token, relative to the largest, whose logarithm is `best`.
struct ProbabilitySum {
  float best = -INFINITY;
  float sum = 0.0F;

  __device__ void add(float log_prob) {
    if (log_prob == -INFINITY) return;
    const float above = log_prob - best;
    const float smaller = expf(-fabsf(above));
    sum = above > 0.0F ? sum * smaller + 1.0F : sum + smaller;
    best = fmaxf(best, log_prob);
  }
  __device__ float log_mean(int32_t models) const { return best + logf(sum / static_cast<float>(models)); }
};

__global__ void __launch_bounds__(kThreads)
    average_kernel(SearchState state, const int32_t* sentence_of_row, int32_t rows,
                   const __grid_constant__ Arguments arguments) {
  __shared__ Normaliser normalisers[kMaxModels];
  const WarpPart part(arguments.split);
  if (!matters(state, sentence_of_row, part.row)) return;
  const int32_t models = arguments.models.count;
  const int32_t lists = arguments.split.lists;
  for (int32_t i = static_cast<int32_t>(threadIdx.x) / kWarpSize; i < models; i += RowSplit::kWarps) {
    const int64_t row = static_cast<int64_t>(i) * rows + part.row;
    const PartialSum* sums = arguments.sums + row * lists;
    const PartialSum total = merge_sums(lists, part.lane, [sums](int32_t list) { return sums[list]; });
    if (part.lane == 0) normalisers[i] = {total.max, logf(total.sum)};
  }
  __syncthreads();
  const int64_t begin = static_cast<int64_t>(part.row) * arguments.vocab_size;
  arguments.split.for_tiles(part.list, arguments.vocab_size, [&](uint32_t first) {
    const uint32_t end = min(first + RowSplit::kTile, arguments.vocab_size);
    for (uint32_t token = first + static_cast<uint32_t>(part.lane); token < end; token += kWarpSize) {
      ProbabilitySum sum;
      for (int32_t i = 0; i < models; ++i) {
        sum.add(normalisers[i].log_prob(load(arguments.models.of[i], begin + token)));
      }
      arguments.average[begin + token] = sum.log_mean(models);
    }
  });
}

}  // namespace

size_t average_log_probs_scratch_bytes(int32_t beams, int32_t models, int32_t vocab_size) {
  return static_cast<size_t>(beams) * static_cast<size_t>(models) *
         static_cast<size_t>(RowSplit::of(vocab_size).lists) * sizeof(PartialSum);
}

void average_log_probs(const SearchState& state, const StepInputs& inputs,
                       const std::vector<ModelLogits>& models, void* scratch, float* average,
                       cudaStream_t stream) {
  if (inputs.rows == 0) return;
  Arguments arguments = {{},
                         static_cast<uint32_t>(state.vocab_size),
                         RowSplit::of(state.vocab_size),
                         static_cast<PartialSum*>(scratch),
                         average};
  for (const ModelLogits& model : models) {
    with_float_type("logits", model.type, [](auto /*number*/) {});
    arguments.models.of[arguments.models.count++] = model;
  }
  const int32_t rows = inputs.rows * state.beam_size;
  const auto blocks = static_cast<unsigned int>(rows * arguments.split.blocks());
  sum_rows_kernel<<<{blocks, static_cast<unsigned int>(models.size())}, kThreads, 0, stream>>>(
      state, inputs.sentence, rows, arguments);
  NMT_TRT_CUDA_LAUNCHED(sum_rows_kernel);
  average_kernel<<<blocks, kThreads, 0, stream>>>(state, inputs.sentence, rows, arguments);
  NMT_TRT_CUDA_LAUNCHED(average_kernel);
}

}  // namespace nmt_trt::cuda
