#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/engine.h"
#include "cuda/attention.h"
#include "cuda/device_buffer.h"
#include "cuda/encoder_attention.h"
#include "cuda/search.h"
#include "generator/decoder_steps.h"
#include "generator/encoder_engines.h"
#include "generator/layout.h"
#include "generator/model_shape.h"
#include "generator/stage_key.h"

namespace nmt_trt {

/// What a stage has of one model: keys and values of its self- and cross-attentions, in the stage's memory.
class StageModel {
 public:
  /// Where they lie there.
  struct Offsets {
    std::vector<size_t> caches, cross;
  };

  /// Adds them to a stage's memory. type: of keys and values.
  static Offsets place(Layout& layout, const StageKey& key, const ModelShape& shape, DataType type);

  StageModel(const StageKey& key, const ModelShape& shape, DataType type, const Offsets& offsets,
             const cuda::DeviceBuffer& memory);

  /// Runs the encoder on what was sent to it, and keeps what cross-attentions look at.
  void enqueue_encoder(const cuda::PackedSources& sources, EncoderEngines& encoder, cudaStream_t stream);
  /// One decoder step, up to the logits. lengths: [B] of the sources.
  void enqueue_decoder(const cuda::SearchState& search, const cuda::StepInputs& inputs,
                       const int32_t* lengths, DecoderSteps& steps, cudaStream_t stream);

  /// Writes what is to be gathered, 4 items a layer, for rows of `from` to go on here after `steps` steps;
  /// returns their end.
  cuda::GatherItem* write_items(const StageModel& from, int32_t steps, cuda::GatherItem* items) const;

 private:
  StageKey key_;
  int32_t layers_, attention_layer_;
  cuda::HeadShape heads_;
  DataType type_;              // of caches and of what flows between segments
  std::vector<void*> caches_;  // [2 * layers] keys and values of each layer, [B, H, N, dh]
  std::vector<void*> cross_;   // [2 * layers] likewise, [B, H, S, dh]
};

}  // namespace nmt_trt
