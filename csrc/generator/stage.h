#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "core/top_log_probs.h"
#include "cuda/device_buffer.h"
#include "cuda/graph.h"
#include "cuda/mapped.h"
#include "cuda/search.h"
#include "generator/ensemble.h"
#include "generator/ensemble_encoders.h"
#include "generator/ensemble_steps.h"
#include "generator/source_batch.h"
#include "generator/stage_key.h"
#include "generator/stage_model.h"

namespace nmt_trt {

/// Everything that belongs to one set of shapes: caches of each model, inputs and CUDA graphs. A batch begins
/// in one stage and moves to another when the cache is full or finished sentences are taken out.
class Stage {
 public:
  Stage(const StageKey& key, Ensemble& ensemble, std::shared_ptr<EnsembleSteps> engines,
        const cuda::SearchState& search, cudaStream_t stream);

  /// Device memory that a stage takes for itself. candidates: of each hypothesis.
  static size_t bytes_needed(const StageKey& key, int32_t candidates, Ensemble& ensemble);

  const StageKey& key() const { return key_; }
  const cuda::StepInputs& inputs() const { return inputs_; }
  size_t bytes() const { return memory_.bytes(); }

  /// The largest number of source tokens that the encoder of such a stage runs on: room for B sources of S
  /// tokens, if the plans have it.
  static int32_t most_tokens(const StageKey& key, Ensemble& ensemble);
  /// Sends a batch of at most B sources of at most S tokens, `tokens` of them together at most, and runs the
  /// encoder of so many on it, after prepare_encoder().
  void encode(const SourceBatch& batch, int32_t tokens, cudaStream_t stream);
  /// One decoder step and one update of the search, as one CUDA graph, after prepare().
  void step(cudaStream_t stream);
  /// Between two batches: makes what encode() launches for so many tokens, unless it is there. engines: of as
  /// many.
  void prepare_encoder(int32_t tokens, std::shared_ptr<EnsembleEncoders> engines, cudaStream_t stream);
  /// Makes what step() launches, unless it is there.
  void prepare(cudaStream_t stream);
  /// Lets go of what encode() launches for so many tokens. Nothing of it may be under way.
  void give_up_encoder(int32_t tokens) { encoders_.erase(tokens); }
  /// Of what step() launches; none before prepare().
  const cuda::NodeCounts& step_nodes() const { return step_graph_.nodes(); }
  /// Takes over what `from` has of the rows that go on, after `steps` steps: caches and the encoder's
  /// outputs, then the next step's inputs.
  void take_over(const Stage& from, int32_t steps, bool keep_all, cudaStream_t stream);
  /// Between two batches: runs a step if this stage never did, because TensorRT and CUDA prepare at the first
  /// run what they must not within a capture.
  void rehearse(cudaStream_t stream);

 private:
  struct Encoder {
    std::shared_ptr<EnsembleEncoders> engines;
    cuda::Graph graph;
  };

  void enqueue_encoder(EnsembleEncoders& engines, cudaStream_t stream);
  void enqueue_decoder(cudaStream_t stream);
  void enqueue_search(cudaStream_t stream);

  StageKey key_;
  cuda::SearchState search_;
  std::shared_ptr<EnsembleSteps> engines_;
  cuda::DeviceBuffer memory_;
  std::vector<StageModel> models_;
  int32_t* starts_;        // [B] first row of each source among the encoder's
  int32_t* lengths_;       // [B]
  int32_t* source_row_;    // [B]
  Candidate* candidates_;  // [B, K, C]
  cuda::GatherItem* items_;
  cuda::StepInputs inputs_{};
  cuda::Pinned<int32_t> host_starts_, host_lengths_, host_sentence_;
  cuda::Pinned<cuda::GatherItem> host_items_;
  bool rehearsed_ = false;
  cuda::Graph step_graph_;
  std::map<int32_t, Encoder> encoders_;  // by tokens
};

}  // namespace nmt_trt
