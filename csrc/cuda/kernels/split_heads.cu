#include <cstdint>
#include <string>

#include "core/errors.h"
#include "cuda/check.h"
#include "cuda/encoder_attention.h"

namespace nmt_trt::cuda {
namespace {

constexpr int kThreads = 128;

// Grid: tokens, sentences. Word: as many elements as are copied at once. run: words of a head; hidden: of a
// key.
template <typename Word>
__global__ void __launch_bounds__(kThreads)
    split_heads_kernel(PackedSources sources, int32_t run, int32_t hidden, int32_t source,
                       const Word* keys_values, Word* cross_k, Word* cross_v) {
  const auto position = static_cast<int32_t>(blockIdx.x);
  const auto sentence = static_cast<int32_t>(blockIdx.y);
  if (position >= sources.lengths[sentence]) return;
  const Word* row = keys_values + (int64_t{sources.starts[sentence]} + position) * 2 * hidden;
  const int64_t first = int64_t{sentence} * hidden * source + int64_t{position} * run;
  for (int32_t i = static_cast<int32_t>(threadIdx.x); i < hidden; i += kThreads) {
    const int64_t place = first + int64_t{i / run} * run * source + i % run;
    cross_k[place] = row[i];
    cross_v[place] = row[hidden + i];
  }
}

template <typename Word>
bool fits(size_t head_bytes, const void* keys_values, const void* cross_k, const void* cross_v) {
  const auto is_aligned = [](const void* address) {
    return reinterpret_cast<uintptr_t>(address) % sizeof(Word) == 0;
  };
  return head_bytes % sizeof(Word) == 0 && is_aligned(keys_values) && is_aligned(cross_k) &&
         is_aligned(cross_v);
}

template <typename Word>
void launch(const PackedSources& sources, const HeadShape& shape, size_t head_bytes, int32_t source,
            const void* keys_values, void* cross_k, void* cross_v, cudaStream_t stream) {
  const auto run = static_cast<int32_t>(head_bytes / sizeof(Word));
  const dim3 grid(static_cast<unsigned int>(sources.longest), static_cast<unsigned int>(sources.sentences));
  split_heads_kernel<<<grid, kThreads, 0, stream>>>(sources, run, run * shape.heads, source,
                                                    static_cast<const Word*>(keys_values),
                                                    static_cast<Word*>(cross_k), static_cast<Word*>(cross_v));
}

}  // namespace

void split_heads(const PackedSources& sources, const HeadShape& shape, int32_t source,
                 const void* keys_values, void* cross_k, void* cross_v, DataType type, cudaStream_t stream) {
  if (sources.longest > source) {
    throw UsageError("source", "at least the longest source, " + std::to_string(sources.longest),
                     std::to_string(source));
  }
  if (sources.sentences == 0 || sources.longest == 0) return;
  const size_t bytes = static_cast<size_t>(shape.head_size) * size_of(type);
  if (fits<uint4>(bytes, keys_values, cross_k, cross_v)) {
    launch<uint4>(sources, shape, bytes, source, keys_values, cross_k, cross_v, stream);
  } else {
    launch<uint16_t>(sources, shape, bytes, source, keys_values, cross_k, cross_v, stream);
  }
  NMT_TRT_CUDA_LAUNCHED(split_heads_kernel);
}

}  // namespace nmt_trt::cuda
