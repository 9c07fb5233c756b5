#include "generator/generator.h"

#include <algorithm>
#include <string>
#include <thread>

#include "core/errors.h"
#include "cuda/check.h"
#include "generator/buckets.h"

namespace nmt_trt {
namespace {

/// Steps that the host may be ahead of the device: enough to keep it busy, and as many are wasted at the end.
constexpr int32_t kStepsAhead = 2;
/// Below so many rows a step takes as long as with fewer.
constexpr int32_t kLeastRowsToCompact = 16;
constexpr int32_t kDeterministicRows = 32;
constexpr int32_t kLooksBeforeQuery = 1 << 14;

void check_range(const char* name, int32_t given, int32_t low, int32_t high) {
  if (given >= low && given <= high) return;
  throw UsageError(
      name, "from " + std::to_string(low) + " to " + std::to_string(high) + ", as the engines were built",
      std::to_string(given));
}

}  // namespace

Generator::Generator(std::shared_ptr<EngineLibrary> library, PlanProvider provider, const ModelShape& shape,
                     std::optional<size_t> memory_limit)
    : plans_(std::move(library), std::move(provider), shape),
      shape_(shape),
      stages_(shape, plans_, memory_limit) {}

// The members free what kernels may still be using.
Generator::~Generator() { cudaStreamSynchronize(stream_.get()); }

Generation Generator::generate(const SourceBatch& batch, const SearchOptions& options, bool deterministic) {
  validate(options);
  if (batch.sentences == 0) return {};
  check_batch(batch, options);
  try {
    Stage& first = begin(batch, options, deterministic);
    const int32_t steps = run(first, options, deterministic);
    Generation generation;
    generation.hypotheses = search_->results(options, steps, stream_.get());
    generation.encoder_seconds = cuda::seconds_between(began_, encoded_);
    generation.generator_seconds = cuda::seconds_between(encoded_, ended_);
    return generation;
  } catch (...) {
    cudaStreamSynchronize(stream_.get());  // nothing of the failed batch is under way when the next begins
    throw;
  }
}

void Generator::check_batch(const SourceBatch& batch, const SearchOptions& options) {
  if (static_cast<size_t>(batch.sentences) != options.max_lengths.size()) {
    throw UsageError("max_lengths", "one a sentence, " + std::to_string(batch.sentences),
                     std::to_string(options.max_lengths.size()));
  }
  check_range("beam_size", options.beam_size, 1, plans_.rows().most);
  check_range("the batch of input_ids", batch.sentences, 1, max_batch(options.beam_size));
  for (int32_t row = 0; row < batch.sentences; ++row) {
    check_range("the length of a source", batch.lengths[row], 1, std::min(batch.width, max_source()));
  }
  const int32_t longest = *std::max_element(options.max_lengths.begin(), options.max_lengths.end());
  check_range("max_lengths", longest, 1, shape_.max_positions);
}

SearchMemory& Generator::search_for(const SearchOptions& options) {
  auto& search = searches_[{options.policy, options.beam_size}];
  if (!search) {
    search =
        std::make_unique<SearchMemory>(shape_, options.policy, options.beam_size,
                                       max_batch(options.beam_size), shape_.max_positions, stream_.get());
  }
  return *search;
}

Stage& Generator::stage_of(const StageKey& key, const Stage* in_use) {
  const MemoryUse use = memory();
  return stages_.get(key, search_->state(), use.plans + use.scratch + use.search, in_use, stream_.get());
}

void Generator::warmup(int32_t batch, int32_t source, const SearchOptions& options, int32_t steps) {
  check_range("batch", batch, 1, max_batch(options.beam_size));
  check_range("source", source, 1, max_source());
  search_ = &search_for(options);
  StageKey key = {batch_bucket(batch, batch_extent(options.beam_size)),
                  source_bucket(source, plans_.source()), options.beam_size, kFirstCapacity};
  stage_of(key, nullptr).prepare_encoder(stream_.get());
  for (;; key.capacity = next_capacity(key.capacity)) {
    Stage& stage = stage_of(key, nullptr);
    stage.rehearse(stream_.get());
    stage.prepare(stream_.get());
    if (key.capacity >= steps) break;
  }
  stream_.synchronize();
}

Stage& Generator::begin(const SourceBatch& batch, const SearchOptions& options, bool deterministic) {
  search_ = &search_for(options);
  const int32_t longest = *std::max_element(batch.lengths, batch.lengths + batch.sentences);
  const int32_t rows = deterministic ? deterministic_rows(options.beam_size)
                                     : batch_bucket(batch.sentences, batch_extent(options.beam_size));
  const StageKey key = {rows, source_bucket(longest, plans_.source()), options.beam_size, kFirstCapacity};
  Stage& stage = stage_of(key, nullptr);
  stage.rehearse(stream_.get());
  for (int32_t row = 0; row < rows; ++row) {
    int32_t* ids = stage.host_ids() + static_cast<std::ptrdiff_t>(row) * key.source;
    std::fill(ids, ids + key.source, shape_.source_pad);
    const bool real = row < batch.sentences;
    if (real)
      std::copy_n(batch.ids + static_cast<std::ptrdiff_t>(row) * batch.width, batch.lengths[row], ids);
    stage.host_lengths()[row] = real ? batch.lengths[row] : 1;
    stage.host_sentence()[row] = real ? row : -1;
  }
  began_.record(stream_.get());
  search_->upload(options, stream_.get());
  stage.encode(stream_.get());
  encoded_.record(stream_.get());
  cuda::start_search(search_->state(), stage.inputs(), options.bos, stream_.get());
  return stage;
}

int32_t Generator::run(Stage& first, const SearchOptions& options, bool deterministic) {
  Stage* stage = &first;
  const auto& progress = search_->progress();
  const int32_t longest = *std::max_element(options.max_lengths.begin(), options.max_lengths.end());
  for (int32_t step = 0; step < longest; ++step) {
    if (!wait_for(step - kStepsAhead)) break;
    stage = &stage_for(*stage, step, options, deterministic);
    stage->step(stream_.get());
  }
  ended_.record(stream_.get());
  NMT_TRT_CUDA(cudaStreamSynchronize(stream_.get()));
  if (progress.bad_logits != 0) {
    throw LogitsError(
        "the model gave logits with NaN, +inf or nothing but -inf; in fp16 that is an overflow, which "
        "`nmt-trt precision` finds");
  }
  return progress.steps;
}

// Whether another step makes sense once the device has made `steps`.
bool Generator::wait_for(int32_t steps) const {
  const auto& progress = search_->progress();
  for (int32_t looks = 1; progress.steps < steps; ++looks) {
    if (looks % kLooksBeforeQuery != 0) continue;
    const cudaError_t status = cudaStreamQuery(stream_.get());
    if (status == cudaSuccess) break;  // everything has run: `progress` is up to date
    if (status != cudaErrorNotReady) NMT_TRT_CUDA(status);
    std::this_thread::yield();
  }
  return progress.bad_logits == 0 && (progress.steps == 0 || progress.active > 0);
}

Stage& Generator::stage_for(Stage& stage, int32_t step, const SearchOptions& options, bool deterministic) {
  const bool keep_all = deterministic || options.policy == PolicyKind::kNemo;
  StageKey key = stage.key();
  if (step == key.capacity) key.capacity = next_capacity(key.capacity);
  const int32_t active = search_->progress().active;
  if (!keep_all && step > 0 && search_->progress().steps > 0 && key.rows >= kLeastRowsToCompact) {
    const int32_t rows = batch_bucket(active, batch_extent(options.beam_size));
    if (rows <= key.rows / 2) key.rows = rows;
  }
  if (key == stage.key()) return stage;
  Stage& next = stage_of(key, &stage);
  next.take_over(stage, step, keep_all, stream_.get());
  return next;
}

MemoryUse Generator::memory() const {
  size_t search = 0;
  for (const auto& [key, memory] : searches_) search += memory->bytes();
  return {plans_.plan_bytes(), plans_.scratch_bytes(), search, stages_.bytes()};
}

// Sentences that a batch is padded to at least and has at most.
Extent Generator::batch_extent(int32_t beam_size) {
  const Extent batch = plans_.batch();
  const Extent rows = plans_.rows();
  return {std::max(batch.least, (rows.least + beam_size - 1) / beam_size),
          std::min(batch.most, rows.most / beam_size)};
}

int32_t Generator::max_batch(int32_t beam_size) {
  const Extent extent = batch_extent(beam_size);
  return extent.least <= extent.most ? extent.most : 0;
}

int32_t Generator::max_source() { return plans_.source().most; }

int32_t Generator::deterministic_rows(int32_t beam_size) {
  return std::min(kDeterministicRows, max_batch(beam_size));
}

}  // namespace nmt_trt
