#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "core/engine.h"
#include "core/top_log_probs.h"
#include "cuda/attention.h"
#include "cuda/device_buffer.h"
#include "cuda/graph.h"
#include "cuda/mapped.h"
#include "cuda/search.h"
#include "generator/encoder_engines.h"
#include "generator/model_shape.h"
#include "generator/plans.h"
#include "generator/source_batch.h"
#include "generator/step_engines.h"

namespace nmt_trt {

/// The shapes that a decoder step runs at: rows of the batch (B), source tokens (S), beam size (K) and
/// capacity of the cache in tokens (T).
struct StageKey {
  int32_t rows, source, beam_size, capacity;

  bool operator<(const StageKey& other) const {
    return std::tie(rows, source, beam_size, capacity) <
           std::tie(other.rows, other.source, other.beam_size, other.capacity);
  }
  bool operator==(const StageKey& other) const { return !(*this < other) && !(other < *this); }
};

/// Everything that belongs to one set of shapes: caches, inputs and CUDA graphs. A batch begins in one stage
/// and moves to another when the cache is full or finished sentences are taken out.
class Stage {
 public:
  Stage(const StageKey& key, const ModelShape& shape, Plans& plans, std::shared_ptr<StepEngines> engines,
        const cuda::SearchState& search, cudaStream_t stream);

  /// Device memory that a stage takes for itself. candidates: of each hypothesis.
  static size_t bytes_needed(const StageKey& key, int32_t candidates, const ModelShape& shape, Plans& plans);

  const StageKey& key() const { return key_; }
  const cuda::StepInputs& inputs() const { return inputs_; }
  size_t bytes() const { return memory_.bytes(); }

  /// Source tokens that the encoder runs on for a stage of this key: room for B sources of S tokens, if the
  /// plans have it.
  static int32_t tokens_of(const StageKey& key, Plans& plans);
  /// Sends a batch of at most B sources of at most S tokens, tokens_of() of them together, and runs the
  /// encoder on it, after prepare_encoder().
  void encode(const SourceBatch& batch, cudaStream_t stream);
  /// One decoder step and one update of the search, as one CUDA graph, after prepare().
  void step(cudaStream_t stream);
  /// Make what encode() and step() launch, unless it is there.
  void prepare_encoder(std::shared_ptr<EncoderEngines> encoder, cudaStream_t stream);
  bool has_encoder() const { return encoder_ != nullptr; }
  void prepare(cudaStream_t stream);
  /// Takes over what `from` has of the rows that go on, after `steps` steps: caches and the encoder's
  /// outputs, then the next step's inputs.
  void take_over(const Stage& from, int32_t steps, bool keep_all, cudaStream_t stream);
  /// Between two batches: runs a step if this stage never did, because TensorRT and CUDA prepare at the first
  /// run what they must not within a capture.
  void rehearse(cudaStream_t stream);

 private:
  void enqueue_encoder(cudaStream_t stream);
  void enqueue_decoder(cudaStream_t stream);
  void enqueue_search(cudaStream_t stream);

  StageKey key_;
  ModelShape shape_;
  cuda::HeadShape heads_;
  cuda::SearchState search_;
  DataType type_;  // of caches and of what flows between segments
  DataType logits_type_;
  std::shared_ptr<StepEngines> engines_;
  cuda::DeviceBuffer memory_;
  std::vector<void*> caches_;  // [2 * layers] keys and values of each layer, [B, H, N, dh]
  std::vector<void*> cross_;   // [2 * layers] likewise, [B, H, S, dh]
  int32_t* starts_;            // [B] first row of each source among the encoder's
  int32_t* lengths_;           // [B]
  int32_t* source_row_;        // [B]
  Candidate* candidates_;      // [B, K, C]
  cuda::GatherItem* items_;
  cuda::StepInputs inputs_{};
  cuda::Pinned<int32_t> host_starts_, host_lengths_, host_sentence_;
  cuda::Pinned<cuda::GatherItem> host_items_;
  std::shared_ptr<EncoderEngines> encoder_;
  bool rehearsed_ = false;
  cuda::Graph step_graph_;
  cuda::Graph encoder_graph_;
};

}  // namespace nmt_trt
