#include "generator/generator.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <string>
#include <thread>

#include "core/errors.h"
#include "cuda/check.h"
#include "generator/buckets.h"

namespace nmt_trt {
namespace {

/// The GPU that is used: the first of those that CUDA shows.
constexpr int kDevice = 0;
/// A step is launched when the device has made all steps but so many: enough to keep it busy, and as many are
/// wasted at the end.
constexpr int32_t kStepsAhead = 2;
static_assert(kStepsAhead + 1 < cuda::kProgressKept);
/// Below so many rows a step takes as long as with fewer: batches shrink to half of it at least.
constexpr int32_t kLeastRowsToCompact = 16;
constexpr int32_t kDeterministicRows = 32;
constexpr uint32_t kLooksBeforeQuery = 1 << 10;

/// Of a thread that looks at memory again and again: leaves the core's other thread, which may be a text
/// worker's, most of the core.
void rest() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void check_range(const char* name, int32_t given, int32_t low, int32_t high) {
  if (given >= low && given <= high) return;
  throw UsageError(
      name, "from " + std::to_string(low) + " to " + std::to_string(high) + ", as the engines were built",
      std::to_string(given));
}

}  // namespace

Generator::Generator(std::shared_ptr<EngineLibrary> library, std::vector<ModelSource> models,
                     std::optional<size_t> memory_limit)
    : Generator(cuda::OnDevice(kDevice), std::move(library), std::move(models), memory_limit) {}

Generator::Generator(const cuda::OnDevice&, std::shared_ptr<EngineLibrary> library,
                     std::vector<ModelSource> models, std::optional<size_t> memory_limit)
    : ensemble_(std::move(library), std::move(models)), stages_(ensemble_, memory_limit) {}

// The members free what kernels may still be using.
Generator::~Generator() { cudaStreamSynchronize(stream_.get()); }

Generation Generator::generate(const SourceBatch& batch, const SearchOptions& options, bool deterministic) {
  const cuda::OnDevice scope(kDevice);
  validate(options);
  if (batch.sentences == 0) return {};
  check_batch(batch, options, deterministic);
  try {
    Stage& first = begin(batch, options, deterministic);
    const int32_t steps = run(first, options, deterministic);
    Generation generation;
    generation.hypotheses = search_->results(options, steps, stream_.get());
    generation.encoder_seconds = cuda::seconds_between(began_, encoded_);
    generation.generator_seconds = cuda::seconds_between(encoded_, ended_);
    return generation;
  } catch (...) {
    recover();
    throw;
  }
}

// Nothing of what failed is under way, nor its error told again, when the next call begins; nor is anything
// kept that was made for it in vain.
void Generator::recover() {
  cudaStreamSynchronize(stream_.get());
  cudaGetLastError();
  if (search_) search_->release();
  search_.reset();
  note_memory();
}

void Generator::check_batch(const SourceBatch& batch, const SearchOptions& options, bool deterministic) {
  if (static_cast<size_t>(batch.sentences) != options.max_lengths.size()) {
    throw UsageError("max_lengths", "one a sentence, " + std::to_string(batch.sentences),
                     std::to_string(options.max_lengths.size()));
  }
  if (keeps_attention(options) &&
      !std::equal(options.source_lengths.begin(), options.source_lengths.end(), batch.lengths)) {
    throw UsageError("source_lengths", "the lengths of the sources", "others");
  }
  check_range("beam_size", options.beam_size, 1, ensemble_.rows().most);
  const int32_t most = deterministic ? deterministic_rows(options.beam_size) : max_batch(options.beam_size);
  check_range("the batch of input_ids", batch.sentences, 1, most);
  for (int32_t row = 0; row < batch.sentences; ++row) {
    check_range("the length of a source", batch.lengths[row], 1, std::min(batch.width, shape().max_source));
  }
  check_range("the tokens of all sources", std::accumulate(batch.lengths, batch.lengths + batch.sentences, 0),
              1, ensemble_.tokens().most);
  const int32_t longest = *std::max_element(options.max_lengths.begin(), options.max_lengths.end());
  check_range("max_lengths", longest, 1, shape().max_positions);
}

// Lets go of the last search first: it may be what there is no room for.
void Generator::take_search(const SearchOptions& options) {
  search_.reset();
  search_ = stages_.search_for(options, max_batch(options.beam_size), stream_.get());
}

Stage& Generator::get_stage(const StageKey& key, const Stage* in_use, int32_t tokens) {
  ensemble_.load(stream_.get());  // so that all plans count
  return stages_.get(key, search_, ensemble_.plan_bytes() + ensemble_.scratch_bytes(), in_use, tokens,
                     stream_.get());
}

// A stage that is ready for steps.
Stage& Generator::stage_of(const StageKey& key, const Stage* in_use) {
  Stage& stage = get_stage(key, in_use, kNoTokens);
  stages_.with_room({in_use, &stage}, kNoTokens, stream_.get(), [&] { stage.prepare(stream_.get()); });
  note_memory();
  return stage;
}

// A stage that is ready for the beginning of a batch whose encoder runs on `tokens`.
Stage& Generator::first_stage(const StageKey& key, int32_t tokens) {
  Stage& stage = get_stage(key, nullptr, tokens);
  stages_.with_room({&stage}, tokens, stream_.get(), [&] {
    stage.rehearse(stream_.get());
    stage.prepare_encoder(tokens, stages_.encoder_for(tokens, stream_.get()), stream_.get());
    stage.prepare(stream_.get());
  });
  note_memory();
  return stage;
}

int32_t Generator::rows_for(int32_t sentences, int32_t beam_size, bool deterministic) {
  return deterministic ? deterministic_rows(beam_size) : batch_bucket(sentences, batch_extent(beam_size));
}

// What the encoder runs on for a batch of so many source tokens that begins in a stage of this key.
int32_t Generator::tokens_for(int32_t tokens, const StageKey& key, bool deterministic) {
  const int32_t largest = Stage::most_tokens(key, ensemble_);
  return deterministic ? largest : token_bucket(tokens, largest, ensemble_.tokens().least);
}

void Generator::warmup(int32_t batch, int32_t source, const SearchOptions& options, int32_t steps,
                       bool deterministic) {
  const cuda::OnDevice scope(kDevice);
  validate(options);
  check_range("batch", batch, 1, max_batch(options.beam_size));
  check_range("source", source, 1, shape().max_source);
  check_range("steps", steps, 1, shape().max_positions);
  try {
    make_stages(batch, source, options, steps, deterministic);
    stream_.synchronize();
  } catch (...) {
    recover();
    throw;
  }
}

void Generator::make_stages(int32_t batch, int32_t source, const SearchOptions& options, int32_t steps,
                            bool deterministic) {
  SearchOptions sized = options;  // as of a batch of this size
  sized.max_lengths.assign(static_cast<size_t>(batch), steps);
  sized.source_lengths.assign(static_cast<size_t>(batch), source);
  take_search(sized);
  const bool keeps_all = deterministic || options.policy == PolicyKind::kNemo;
  const Extent extent = batch_extent(options.beam_size);
  StageKey key = {rows_for(batch, options.beam_size, deterministic), source_bucket(source), options.beam_size,
                  kFirstCapacity};
  make_encoders(key, deterministic);
  for (;; key.capacity = next_capacity(key.capacity)) {
    StageKey smaller = key;
    stage_of(smaller, nullptr);
    while (!keeps_all && smaller.rows >= kLeastRowsToCompact && smaller.rows > extent.least) {
      smaller.rows = batch_bucket(smaller.rows / 2, extent);
      stage_of(smaller, nullptr);
    }
    if (key.capacity >= steps) break;
  }
}

// All that batches which begin in a stage of this key can need: each has a source of the key's bucket. The
// largest comes last: where memory is short, the smaller ones are the first of all this to be given up.
void Generator::make_encoders(const StageKey& key, bool deterministic) {
  const int32_t largest = Stage::most_tokens(key, ensemble_);
  int32_t tokens = 0;
  for (int32_t batch = shortest_source(key.source); tokens < largest; batch = tokens + 1) {
    tokens = tokens_for(batch, key, deterministic);
    first_stage(key, tokens);
  }
}

Stage& Generator::begin(const SourceBatch& batch, const SearchOptions& options, bool deterministic) {
  take_search(options);
  const int32_t longest = *std::max_element(batch.lengths, batch.lengths + batch.sentences);
  const int32_t rows = rows_for(batch.sentences, options.beam_size, deterministic);
  const StageKey key = {rows, source_bucket(longest), options.beam_size, kFirstCapacity};
  const int32_t together = std::accumulate(batch.lengths, batch.lengths + batch.sentences, 0);
  const int32_t tokens = tokens_for(together, key, deterministic);
  Stage& stage = first_stage(key, tokens);
  began_.record(stream_.get());
  search_->upload(options, stream_.get());
  stage.encode(batch, tokens, stream_.get());
  encoded_.record(stream_.get());
  cuda::start_search(search_->state(), stage.inputs(), options.bos, stream_.get());
  return stage;
}

int32_t Generator::run(Stage& first, const SearchOptions& options, bool deterministic) {
  Stage* stage = &first;
  const auto& progress = search_->progress();
  const int32_t longest = *std::max_element(options.max_lengths.begin(), options.max_lengths.end());
  for (int32_t step = 0; step < longest; ++step) {
    if (!goes_on(step - kStepsAhead)) break;
    // A larger cache is not made for a batch that has ended.
    if (step == stage->key().capacity && !goes_on(step)) break;
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
  return progress.steps();
}

// Waits until the device has made `steps` steps: whether sentences were left then.
bool Generator::goes_on(int32_t steps) const {
  if (steps <= 0) return true;
  const auto& progress = search_->progress();
  const auto& update = progress.at(steps);
  for (uint32_t looks = 1; update.steps < steps; ++looks) {
    rest();
    if (looks % kLooksBeforeQuery != 0) continue;
    const cudaError_t status = cudaStreamQuery(stream_.get());
    if (status == cudaSuccess) break;  // everything has run: `progress` is up to date
    if (status != cudaErrorNotReady) NMT_TRT_CUDA(status);
    std::this_thread::yield();
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  return progress.bad_logits == 0 && update.steps >= steps && update.active > 0;
}

// The count of sentences is that of a step that is the same in every run, and so are the rows of each step:
// how far the device happens to be decides nothing.
Stage& Generator::stage_for(Stage& stage, int32_t step, const SearchOptions& options, bool deterministic) {
  const bool keep_all = deterministic || options.policy == PolicyKind::kNemo;
  StageKey key = stage.key();
  if (step == key.capacity) key.capacity = next_capacity(key.capacity);
  if (!keep_all && step > kStepsAhead && key.rows >= kLeastRowsToCompact) {
    const int32_t active = search_->progress().at(step - kStepsAhead).active;
    const int32_t rows =
        batch_bucket(std::max(active, kLeastRowsToCompact / 2), batch_extent(options.beam_size));
    if (rows <= key.rows / 2) key.rows = rows;
  }
  if (key == stage.key()) return stage;
  Stage& next = stage_of(key, &stage);
  next.take_over(stage, step, keep_all, stream_.get());
  return next;
}

void Generator::note_memory() {
  const MemoryUse use = {ensemble_.plan_bytes(), ensemble_.scratch_bytes(), stages_.search_bytes(),
                         stages_.bytes()};
  const std::lock_guard<std::mutex> lock(memory_mutex_);
  memory_ = use;
}

MemoryUse Generator::memory() const {
  const std::lock_guard<std::mutex> lock(memory_mutex_);
  return memory_;
}

// Sentences that a batch is padded to at least and has at most.
Extent Generator::batch_extent(int32_t beam_size) {
  const Extent rows = ensemble_.rows();
  const int32_t least = (rows.least + beam_size - 1) / beam_size;
  return {least, std::min(std::max(shape().max_batch, least), rows.most / beam_size)};
}

int32_t Generator::max_batch(int32_t beam_size) {
  const cuda::OnDevice scope(kDevice);
  check_range("beam_size", beam_size, 1, kMaxBeamSize);
  const Extent extent = batch_extent(beam_size);
  return extent.least <= extent.most ? extent.most : 0;
}

int32_t Generator::source_bucket(int32_t length) const {
  return nmt_trt::source_bucket(length, shape().max_source);
}

int32_t Generator::deterministic_rows(int32_t beam_size) {
  const int32_t most = max_batch(beam_size);
  return std::min(std::max(kDeterministicRows, batch_extent(beam_size).least), most);
}

}  // namespace nmt_trt
