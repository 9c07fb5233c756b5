#include "generator/stage_model.h"

#include <cmath>

namespace nmt_trt {
namespace {

size_t size(int64_t count) { return static_cast<size_t>(count); }

}  // namespace

StageModel::Offsets StageModel::place(Layout& layout, const StageKey& key, const ModelShape& shape,
                                      DataType type) {
  const size_t rows = size(key.rows);
  const size_t slots = size(key.beam_size) * size(key.capacity);
  const size_t hidden = size(shape.heads) * size(shape.head_size) * size_of(type);
  Offsets offsets;
  for (int32_t i = 0; i < 2 * shape.layers; ++i) {
    offsets.caches.push_back(layout.add(rows * slots * hidden));
    offsets.cross.push_back(layout.add(rows * size(key.source) * hidden));
  }
  return offsets;
}

StageModel::StageModel(const StageKey& key, const ModelShape& shape, DataType type, const Offsets& offsets,
                       const cuda::DeviceBuffer& memory)
    : key_(key),
      layers_(shape.layers),
      attention_layer_(shape.attention_layer),
      heads_{shape.heads, shape.head_size, 1.0F / std::sqrt(static_cast<float>(shape.head_size))},
      type_(type) {
  for (const size_t offset : offsets.caches) caches_.push_back(at<void>(memory, offset));
  for (const size_t offset : offsets.cross) cross_.push_back(at<void>(memory, offset));
}

void StageModel::enqueue_encoder(const cuda::PackedSources& sources, EncoderEngines& encoder,
                                 cudaStream_t stream) {
  encoder.run(sources, stream);
  for (int32_t layer = 0; layer < layers_; ++layer) {
    const size_t k = 2 * size(layer);
    cuda::split_heads(sources, heads_, key_.source, encoder.cross(layer), cross_[k], cross_[k + 1], type_,
                      stream);
  }
}

void StageModel::enqueue_decoder(const cuda::SearchState& search, const cuda::StepInputs& inputs,
                                 const int32_t* lengths, DecoderSteps& steps, cudaStream_t stream) {
  steps.embed(inputs.token, inputs.position, stream);
  for (int32_t layer = 0; layer < layers_; ++layer) {
    const size_t k = 2 * size(layer);
    cuda::self_attention(search, inputs, heads_, steps.qkv(), caches_[k], caches_[k + 1], steps.attention(),
                         type_, stream);
    steps.run(2 * layer + 1, stream);
    cuda::cross_attention(search, inputs, heads_, key_.source, lengths, steps.query(), cross_[k],
                          cross_[k + 1], steps.attention(), type_, stream);
    if (search.attention != nullptr && layer == attention_layer_) {
      cuda::record_attention(search, inputs, heads_, key_.source, lengths, steps.query(), cross_[k], type_,
                             stream);
    }
    steps.run(2 * layer + 2, stream);
  }
}

cuda::GatherItem* StageModel::write_items(const StageModel& from, int32_t steps,
                                          cuda::GatherItem* items) const {
  const int64_t head = int64_t{heads_.head_size} * static_cast<int64_t>(size_of(type_));
  const auto cache = [head](const StageKey& key) { return int64_t{key.beam_size} * key.capacity * head; };
  const int64_t used = int64_t{steps} * key_.beam_size * head;
  const int64_t source = key_.source * head;
  for (size_t i = 0; i < caches_.size(); ++i) {
    *items++ = {from.caches_[i], caches_[i], heads_.heads, cache(from.key_), cache(key_), used};
    *items++ = {from.cross_[i], cross_[i], heads_.heads, source, source, source};
  }
  return items;
}

}  // namespace nmt_trt
