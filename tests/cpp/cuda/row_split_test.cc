#include "cuda/kernels/row_split.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace nmt_trt::cuda {
namespace {

TEST(RowSplit, CoversEveryVocabulary) {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  for (const int32_t vocab_size : {1, 2, 1024, 1025, 32000, 131072, 131073, 256206, 10000000, kMost}) {
    const RowSplit split = RowSplit::of(vocab_size);
    EXPECT_EQ(split.lists % RowSplit::kWarps, 0) << vocab_size;
    EXPECT_LE(split.lists, RowSplit::kMaxLists) << vocab_size;
    const int64_t covered = int64_t{split.lists} * split.tiles * RowSplit::kTile;
    EXPECT_GE(covered, vocab_size);
    EXPECT_LE(covered, int64_t{std::numeric_limits<uint32_t>::max()}) << vocab_size;
  }
}

}  // namespace
}  // namespace nmt_trt::cuda
