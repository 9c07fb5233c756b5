#include "generator/stage.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "cuda/attention.h"
#include "cuda/check.h"
#include "generator/layout.h"
#include "generator/send_to_device.h"

namespace nmt_trt {
namespace {

size_t size(int64_t count) { return static_cast<size_t>(count); }

/// Keys and values of self- and cross-attention in every layer, and the source lengths.
size_t item_count(const ModelShape& shape) { return 4 * size(shape.layers) + 1; }

/// Where the arrays of a stage lie in its memory.
struct Offsets {
  std::vector<size_t> caches, cross;
  size_t starts, lengths, sentence, token, position, source_row, candidates, items, total;
};

Offsets place(const StageKey& key, int32_t candidates, const ModelShape& shape, DataType type) {
  const size_t rows = size(key.rows);
  const size_t beams = rows * size(key.beam_size);
  const size_t hidden = size(shape.heads) * size(shape.head_size) * size_of(type);
  Layout layout;
  Offsets offsets;
  for (int32_t i = 0; i < 2 * shape.layers; ++i) {
    offsets.caches.push_back(layout.add(beams * size(key.capacity) * hidden));
    offsets.cross.push_back(layout.add(rows * size(key.source) * hidden));
  }
  offsets.starts = layout.add<int32_t>(rows);
  offsets.lengths = layout.add<int32_t>(rows);
  offsets.sentence = layout.add<int32_t>(rows);
  offsets.token = layout.add<int32_t>(beams);
  offsets.position = layout.add<int32_t>(1);
  offsets.source_row = layout.add<int32_t>(rows);
  offsets.candidates = layout.add<Candidate>(beams * size(candidates));
  offsets.items = layout.add<cuda::GatherItem>(item_count(shape));
  offsets.total = layout.bytes();
  return offsets;
}

}  // namespace

size_t Stage::bytes_needed(const StageKey& key, int32_t candidates, const ModelShape& shape, Plans& plans) {
  return place(key, candidates, shape, plans.compute_type()).total;
}

int32_t Stage::tokens_of(const StageKey& key, Plans& plans) {
  const Extent admitted = plans.tokens();
  return std::clamp(key.rows * key.source, admitted.least, admitted.most);
}

Stage::Stage(const StageKey& key, const ModelShape& shape, Plans& plans, std::shared_ptr<StepEngines> engines,
             const cuda::SearchState& search, cudaStream_t stream)
    : key_(key),
      shape_(shape),
      heads_{shape.heads, shape.head_size, 1.0F / std::sqrt(static_cast<float>(shape.head_size))},
      search_(search),
      type_(plans.compute_type()),
      logits_type_(plans.logits_type()),
      engines_(std::move(engines)),
      host_starts_(size(key.rows)),
      host_lengths_(size(key.rows)),
      host_sentence_(size(key.rows)),
      host_items_(item_count(shape)) {
  const Offsets offsets = place(key, search.candidates, shape, type_);
  memory_ = cuda::DeviceBuffer(offsets.total);
  NMT_TRT_CUDA(cudaMemsetAsync(memory_.data(), 0, memory_.bytes(), stream));
  for (const size_t offset : offsets.caches) caches_.push_back(at<void>(memory_, offset));
  for (const size_t offset : offsets.cross) cross_.push_back(at<void>(memory_, offset));
  starts_ = at<int32_t>(memory_, offsets.starts);
  lengths_ = at<int32_t>(memory_, offsets.lengths);
  source_row_ = at<int32_t>(memory_, offsets.source_row);
  candidates_ = at<Candidate>(memory_, offsets.candidates);
  items_ = at<cuda::GatherItem>(memory_, offsets.items);
  inputs_.rows = key.rows;
  inputs_.slots = key.beam_size * key.capacity;
  inputs_.sentence = at<int32_t>(memory_, offsets.sentence);
  inputs_.token = at<int32_t>(memory_, offsets.token);
  inputs_.position = at<int32_t>(memory_, offsets.position);
  inputs_.max_position = shape.max_positions - 1;
  NMT_TRT_CUDA(
      cudaMemsetAsync(inputs_.sentence, 0xFF, size(key.rows) * sizeof(int32_t), stream));  // all padding
}

void Stage::prepare_encoder(std::shared_ptr<EncoderEngines> encoder, cudaStream_t stream) {
  if (encoder_graph_) return;
  encoder_ = std::move(encoder);
  enqueue_encoder(stream);  // CUDA loads kernels at their first run, which a capture must not be
  encoder_graph_ = cuda::capture(stream, [&] { enqueue_encoder(stream); });
}

void Stage::enqueue_encoder(cudaStream_t stream) {
  const cuda::PackedSources sources = {key_.rows, key_.source, starts_, lengths_};
  encoder_->run(sources, stream);
  for (int32_t layer = 0; layer < shape_.layers; ++layer) {
    const size_t k = 2 * size(layer);
    cuda::split_heads(sources, heads_, key_.source, encoder_->cross(layer), cross_[k], cross_[k + 1], type_,
                      stream);
  }
}

void Stage::encode(const SourceBatch& batch, cudaStream_t stream) {
  int32_t end = 0;
  for (int32_t row = 0; row < key_.rows; ++row) {
    const bool real = row < batch.sentences;
    const int32_t length = real ? batch.lengths[row] : 0;
    if (real)
      std::copy_n(batch.ids + static_cast<std::ptrdiff_t>(row) * batch.width, length,
                  encoder_->host_token() + end);
    std::iota(encoder_->host_position() + end, encoder_->host_position() + end + length, 0);
    host_starts_[size(row)] = end;
    host_lengths_[size(row)] = length;
    host_sentence_[size(row)] = real ? row : -1;
    end += length;
  }
  encoder_->send(stream);
  send_to_device(starts_, host_starts_, stream);
  send_to_device(lengths_, host_lengths_, stream);
  send_to_device(inputs_.sentence, host_sentence_, stream);
  encoder_graph_.launch(stream);
}

void Stage::rehearse(cudaStream_t stream) {
  if (rehearsed_) return;
  enqueue_decoder(stream);
  enqueue_search(stream);
  NMT_TRT_CUDA(cudaStreamSynchronize(stream));
  rehearsed_ = true;
}

void Stage::enqueue_decoder(cudaStream_t stream) {
  engines_->embed(inputs_.token, inputs_.position, stream);
  for (int32_t layer = 0; layer < shape_.layers; ++layer) {
    const size_t k = 2 * size(layer);
    cuda::self_attention(search_, inputs_, heads_, engines_->qkv(), caches_[k], caches_[k + 1],
                         engines_->attention(), type_, stream);
    engines_->run(2 * layer + 1, stream);
    cuda::cross_attention(search_, inputs_, heads_, key_.source, lengths_, engines_->query(), cross_[k],
                          cross_[k + 1], engines_->attention(), type_, stream);
    if (search_.attention != nullptr && layer == shape_.attention_layer) {
      cuda::record_attention(search_, inputs_, heads_, key_.source, lengths_, engines_->query(), cross_[k],
                             type_, stream);
    }
    engines_->run(2 * layer + 2, stream);
  }
}

void Stage::enqueue_search(cudaStream_t stream) {
  if (search_.scores.rules != nullptr) cuda::find_edits(search_, inputs_, stream);
  if (search_.policy == PolicyKind::kSample) {
    cuda::draw_tokens(search_, inputs_, engines_->logits(), logits_type_, candidates_, stream);
  } else {
    cuda::top_log_probs(search_, inputs_, engines_->logits(), logits_type_, candidates_, stream);
  }
  cuda::update_beams(search_, inputs_, candidates_, stream);
}

void Stage::prepare(cudaStream_t stream) {
  if (step_graph_) return;
  step_graph_ = cuda::capture(stream, [&] {
    enqueue_decoder(stream);
    enqueue_search(stream);
  });
}

void Stage::step(cudaStream_t stream) { step_graph_.launch(stream); }

void Stage::take_over(const Stage& from, int32_t steps, bool keep_all, cudaStream_t stream) {
  cuda::compact_rows(search_, from.inputs_, inputs_, keep_all, source_row_, stream);
  const int64_t head = int64_t{shape_.head_size} * static_cast<int64_t>(size_of(type_));
  const int64_t used = int64_t{steps} * key_.beam_size * head;
  const int64_t source = key_.source * head;
  for (size_t i = 0; i < caches_.size(); ++i) {
    host_items_[2 * i] = {from.caches_[i],           caches_[i],           shape_.heads,
                          from.inputs_.slots * head, inputs_.slots * head, used};
    host_items_[2 * i + 1] = {from.cross_[i], cross_[i], shape_.heads, source, source, source};
  }
  constexpr int64_t kLength = sizeof(int32_t);
  host_items_[2 * caches_.size()] = {from.lengths_, lengths_, 1, kLength, kLength, kLength};
  send_to_device(items_, host_items_, stream);
  cuda::gather_rows(items_, static_cast<int32_t>(host_items_.size()), source_row_, key_.rows, stream);
}

}  // namespace nmt_trt
