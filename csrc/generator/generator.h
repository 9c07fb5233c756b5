#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/hypothesis.h"
#include "core/options.h"
#include "cuda/device.h"
#include "cuda/event.h"
#include "cuda/stream.h"
#include "generator/ensemble.h"
#include "generator/model_shape.h"
#include "generator/search_memory.h"
#include "generator/source_batch.h"
#include "generator/stage.h"
#include "generator/stages.h"

namespace nmt_trt {

/// What generate() returns. Seconds are the device's.
struct Generation {
  std::vector<std::vector<Hypothesis>> hypotheses;
  double encoder_seconds;
  double generator_seconds;
};

/// Bytes by what they are for: the plans as files, which is about what their weights take on the device, with
/// the weights of native decoders; and other device memory of ours. What TensorRT and CUDA take for contexts,
/// kernels and graphs cannot be told.
struct MemoryUse {
  size_t plans, scratch, search, stages;

  size_t total() const { return plans + scratch + search + stages; }
};

/// Encoder, decoder steps and beam search of one model, or of several whose probabilities are averaged, on
/// the first GPU that CUDA shows, on a stream of its own. A step neither waits for the device nor allocates
/// nor copies between host and device; that happens where a batch begins, and where it moves to a larger
/// cache or to fewer rows. Not thread-safe but for memory(); several generators may work at once. After an
/// exception it can be used again.
class Generator {
 public:
  /// memory_limit: most bytes of MemoryUse::total(); none: what there is.
  /// Throws UsageError for models that make no ensemble.
  Generator(std::shared_ptr<EngineLibrary> library, std::vector<ModelSource> models,
            std::optional<size_t> memory_limit);
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  ~Generator();

  /// options.eos, pad, bos and vocab_size must be the model's. The encoder runs on token_bucket() of the
  /// batch. With `deterministic` it always runs on the largest number of tokens and the batch at
  /// deterministic_rows() rows, and finished sentences stay in it: a sentence's score bits then depend on its
  /// own source, its source bucket and the options only. Throws UsageError for shapes that the plans do not
  /// admit, LogitsError, EngineError, CudaError and OutOfMemoryError.
  Generation generate(const SourceBatch& batch, const SearchOptions& options, bool deterministic);

  /// Makes what batches of so many sentences and source tokens need for `steps` generated tokens, the smaller
  /// batches that remain when sentences finish included, so that none of it happens while they are
  /// translated. Throws as generate().
  void warmup(int32_t batch, int32_t source, const SearchOptions& options, int32_t steps, bool deterministic);

  /// Most sentences of a batch with this beam size, 0 when the plans do not admit it; and sentences of a
  /// deterministic batch.
  int32_t max_batch(int32_t beam_size);
  /// What a source of `length` tokens is padded to.
  int32_t source_bucket(int32_t length) const;
  int32_t deterministic_rows(int32_t beam_size);
  /// As it was at the last change; from any thread.
  MemoryUse memory() const;
  /// What decoder steps launch, by their shapes and searches, the ones used last first.
  std::vector<StepGraph> step_graphs() const { return stages_.step_graphs(); }
  /// Vocabulary and special tokens of all models, and the smallest of their limits.
  const ModelShape& shape() const { return ensemble_.common(); }

 private:
  Generator(const cuda::OnDevice& scope, std::shared_ptr<EngineLibrary> library,
            std::vector<ModelSource> models, std::optional<size_t> memory_limit);

  Stage& begin(const SourceBatch& batch, const SearchOptions& options, bool deterministic);
  void make_stages(int32_t batch, int32_t source, const SearchOptions& options, int32_t steps,
                   bool deterministic);
  void make_encoders(const StageKey& key, bool deterministic);
  int32_t run(Stage& first, const SearchOptions& options, bool deterministic);
  bool goes_on(int32_t steps) const;
  Stage& stage_for(Stage& stage, int32_t step, const SearchOptions& options, bool deterministic);
  void check_batch(const SourceBatch& batch, const SearchOptions& options, bool deterministic);
  int32_t rows_for(int32_t sentences, int32_t beam_size, bool deterministic);
  int32_t tokens_for(int32_t tokens, const StageKey& key, bool deterministic);
  Stage& first_stage(const StageKey& key, int32_t tokens);
  Stage& stage_of(const StageKey& key, const Stage* in_use);
  Stage& get_stage(const StageKey& key, const Stage* in_use, int32_t tokens);
  Extent batch_extent(int32_t beam_size);
  void take_search(const SearchOptions& options);
  void recover();
  void note_memory();

  Ensemble ensemble_;
  cuda::Stream stream_;
  cuda::Event began_, encoded_, ended_;
  Stages stages_;
  std::shared_ptr<SearchMemory> search_;  // of the batch under way, or of the last one
  mutable std::mutex memory_mutex_;
  MemoryUse memory_{};
};

}  // namespace nmt_trt
