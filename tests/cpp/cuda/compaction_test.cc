#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"
#include "cuda/search_logits.h"

namespace nmt_trt {
namespace {

using namespace testing;

size_t size(int64_t count) { return static_cast<size_t>(count); }

constexpr int32_t kCapacity = 12;

SearchOptions ten_sentences(PolicyKind policy, int32_t beam_size) {
  const bool together = policy == PolicyKind::kNemo;
  std::vector<int32_t> max_lengths;
  for (int32_t i = 0; i < 10; ++i) max_lengths.push_back(together ? kCapacity : 1 + (i * 7) % kCapacity);
  return search_options(policy, beam_size, 333, max_lengths, 0.6F);
}

using Draws = std::vector<std::vector<float>>;  // by step, [B, K, V] each

// The whole search in one stage; the logits drawn on the way are for the others.
SearchSnapshot plain(const SearchOptions& options, uint64_t seed, Draws& draws) {
  Random random(seed);
  std::vector<int32_t> rows = {3, 1, 4, 0, 5, 9, 2, 6, 8, 7};
  GpuSearch gpu(options, 10, kCapacity);
  GpuStage stage(options, rows, options.beam_size * kCapacity);
  gpu.start(stage);
  while (gpu.snapshot().active() > 0) {
    bool settled = true;
    draws.push_back(draw_logits(random, options, gpu.snapshot(), DataType::kFloat32, false, settled).values);
    const auto logits = rows_of(draws.back(), rows, options.beam_size * options.vocab_size);
    gpu.step(stage, encode(logits, DataType::kFloat32), DataType::kFloat32);
  }
  return gpu.snapshot();
}

// What a stage must hold after it has taken over from another.
void expect_inputs(const GpuStage& stage, const SearchSnapshot& state, const SearchOptions& options) {
  const auto sentences = stage.sentence.values();
  const auto token = stage.token.values();
  const size_t beam_size = size(options.beam_size);
  ASSERT_EQ(stage.position.values()[0], state.steps);
  for (size_t row = 0; row < sentences.size(); ++row) {
    for (size_t k = 0; k < beam_size; ++k) {
      const size_t newest = (size(sentences[row]) * kCapacity + size(state.steps) - 1) * beam_size + k;
      const bool goes_on = sentences[row] >= 0 && state.finished[size(sentences[row])] == 0;
      if (goes_on || sentences[row] < 0) {
        ASSERT_EQ(token[row * beam_size + k], goes_on ? state.tokens[newest] : options.pad) << "row " << row;
      }
    }
  }
}

// The same search; after each step named in `when` the rows that go on move to a new stage.
SearchSnapshot compacted(const SearchOptions& options, const Draws& draws, const std::vector<int32_t>& when,
                         bool keep_all) {
  std::vector<int32_t> rows = {3, 1, 4, 0, -1, 5, 9, 2, 6, 8, 7, -1};
  GpuSearch gpu(options, static_cast<int32_t>(rows.size()), kCapacity);
  int32_t room = 4;
  auto stage = std::make_unique<GpuStage>(options, rows, options.beam_size * room);
  gpu.start(*stage);
  for (size_t step = 0; step < draws.size(); ++step) {
    const auto made = static_cast<int32_t>(step);
    if (made == room || std::count(when.begin(), when.end(), made) > 0) {
      const SearchSnapshot state = gpu.snapshot();
      std::vector<int32_t> kept_rows, kept_sentences;
      for (size_t row = 0; row < rows.size(); ++row) {
        if (rows[row] < 0 || (!keep_all && state.finished[size(rows[row])] != 0)) continue;
        kept_rows.push_back(static_cast<int32_t>(row));
        kept_sentences.push_back(rows[row]);
      }
      kept_rows.push_back(-1);  // padding
      kept_sentences.push_back(-1);
      room = std::min(kCapacity, made == room ? 2 * room : room);
      auto next = std::make_unique<GpuStage>(options, kept_rows, options.beam_size * room);
      DeviceArray<int32_t> source_row(kept_rows.size());
      cuda::compact_rows(gpu.state(), stage->inputs, next->inputs, keep_all, source_row.data(), nullptr);
      EXPECT_EQ(source_row.values(), kept_rows);
      EXPECT_EQ(next->sentence.values(), kept_sentences);
      expect_inputs(*next, state, options);
      stage = std::move(next);
      rows = kept_sentences;
    }
    const auto logits = rows_of(draws[step], rows, options.beam_size * options.vocab_size);
    gpu.step(*stage, encode(logits, DataType::kFloat32), DataType::kFloat32);
  }
  return gpu.snapshot();
}

class Compaction : public CudaTest {};

TEST_F(Compaction, ChangesNoResult) {
  for (const PolicyKind policy : {PolicyKind::kGnmt, PolicyKind::kNemo, PolicyKind::kHf}) {
    for (const int32_t beam_size : {1, 3, 4}) {
      SCOPED_TRACE("K " + std::to_string(beam_size));
      const SearchOptions options = ten_sentences(policy, beam_size);
      Draws draws;
      const SearchSnapshot expected = plain(options, static_cast<uint64_t>(beam_size), draws);
      expect_same(compacted(options, draws, {}, true), expected);
      expect_same(compacted(options, draws, {2, 3, 6, 7, 11}, true), expected);
      expect_same(compacted(options, draws, {1, 4, 5, 9}, policy == PolicyKind::kNemo), expected);
      expect_same(compacted(options, draws, {2, 3, 6, 8, 10}, policy == PolicyKind::kNemo), expected);
    }
  }
}

// More rows than the kernel that chooses them has threads.
TEST_F(Compaction, TakesManyRows) {
  SearchOptions options = ten_sentences(PolicyKind::kGnmt, 1);
  options.max_lengths.clear();
  std::vector<int32_t> rows, kept;
  for (int32_t i = 0; i < 600; ++i) {
    options.max_lengths.push_back(i % 3);  // 0: finished from the start
    rows.push_back(i);
    if (i % 3 != 0) kept.push_back(i);
  }
  GpuSearch gpu(options, 600, kCapacity);
  GpuStage stage(options, rows, kCapacity);
  gpu.start(stage);
  EXPECT_EQ(gpu.snapshot().active(), 400);
  GpuStage next(options, std::vector<int32_t>(512, 0), kCapacity);
  DeviceArray<int32_t> source_row(512);
  cuda::compact_rows(gpu.state(), stage.inputs, next.inputs, false, source_row.data(), nullptr);
  kept.resize(512, -1);
  EXPECT_EQ(source_row.values(), kept);
  EXPECT_EQ(next.sentence.values(), kept);
  std::vector<int32_t> tokens(512, options.pad);
  std::fill_n(tokens.begin(), 400, options.bos);
  EXPECT_EQ(next.token.values(), tokens);
}

struct Cache {
  int64_t heads, from_stride, to_stride, copied;
  size_t from_offset;
};

TEST_F(Compaction, GathersEveryByteOfTheRowsThatStay) {
  const std::vector<int32_t> source_row = {1, 3, 4, -1};
  constexpr size_t kOldRows = 6;
  // As wide as units may be, and as narrow; a cache that grows; one head.
  const Cache caches[] = {{8, 4096, 8192, 4096, 0}, {3, 4096, 8192, 1040, 0}, {5, 24, 36, 20, 4},
                          {2, 14, 10, 6, 2},        {1, 2, 2, 2, 0},          {16, 64, 64, 0, 0}};
  Random random(3);
  std::vector<std::vector<std::byte>> from_bytes;
  std::vector<DeviceArray<std::byte>> from, to;
  std::vector<cuda::GatherItem> items;
  for (const Cache& cache : caches) {
    std::vector<std::byte> bytes(kOldRows * size(cache.heads * cache.from_stride) + cache.from_offset);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.integer(0, 254));
    from.emplace_back(bytes);
    to.emplace_back(source_row.size() * size(cache.heads * cache.to_stride));
    from_bytes.push_back(bytes);
    items.push_back({from.back().data() + cache.from_offset, to.back().data(), cache.heads, cache.from_stride,
                     cache.to_stride, cache.copied});
  }
  const DeviceArray<cuda::GatherItem> device_items(items);
  const DeviceArray<int32_t> device_rows(source_row);
  cuda::gather_rows(device_items.data(), static_cast<int32_t>(items.size()), device_rows.data(),
                    static_cast<int32_t>(source_row.size()), nullptr);
  for (size_t item = 0; item < items.size(); ++item) {
    const Cache& cache = caches[item];
    std::vector<std::byte> expected(to[item].size(), std::byte{0xFF});
    for (size_t row = 0; row < source_row.size(); ++row) {
      if (source_row[row] < 0) continue;
      for (int64_t head = 0; head < cache.heads; ++head) {
        const auto first = from_bytes[item].begin() + static_cast<std::ptrdiff_t>(cache.from_offset) +
                           (source_row[row] * cache.heads + head) * cache.from_stride;
        std::copy(first, first + cache.copied,
                  expected.begin() + (static_cast<int64_t>(row) * cache.heads + head) * cache.to_stride);
      }
    }
    EXPECT_EQ(to[item].values(), expected) << "item " << item;
  }
}

}  // namespace
}  // namespace nmt_trt
