#include "generator/stage.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "cuda/check.h"
#include "cuda/encoder_attention.h"
#include "generator/layout.h"
#include "generator/send_to_device.h"

namespace nmt_trt {
namespace {

size_t size(int64_t count) { return static_cast<size_t>(count); }

/// Keys and values of self- and cross-attention in every layer of every model, and the source lengths.
size_t item_count(const Ensemble& ensemble) {
  size_t count = 1;
  for (size_t model = 0; model < ensemble.size(); ++model) count += 4 * size(ensemble.shape(model).layers);
  return count;
}

/// Where the arrays of a stage lie in its memory.
struct Offsets {
  std::vector<StageModel::Offsets> models;
  size_t starts, lengths, sentence, token, position, source_row, candidates, items, total;
};

Offsets place(const StageKey& key, int32_t candidates, Ensemble& ensemble) {
  const size_t rows = size(key.rows);
  const size_t beams = rows * size(key.beam_size);
  Layout layout;
  Offsets offsets;
  for (size_t model = 0; model < ensemble.size(); ++model) {
    offsets.models.push_back(
        StageModel::place(layout, key, ensemble.shape(model), ensemble.plans(model).compute_type()));
  }
  offsets.starts = layout.add<int32_t>(rows);
  offsets.lengths = layout.add<int32_t>(rows);
  offsets.sentence = layout.add<int32_t>(rows);
  offsets.token = layout.add<int32_t>(beams);
  offsets.position = layout.add<int32_t>(1);
  offsets.source_row = layout.add<int32_t>(rows);
  offsets.candidates = layout.add<Candidate>(beams * size(candidates));
  offsets.items = layout.add<cuda::GatherItem>(item_count(ensemble));
  offsets.total = layout.bytes();
  return offsets;
}

}  // namespace

size_t Stage::bytes_needed(const StageKey& key, int32_t candidates, Ensemble& ensemble) {
  return place(key, candidates, ensemble).total;
}

int32_t Stage::most_tokens(const StageKey& key, Ensemble& ensemble) {
  const Extent admitted = ensemble.tokens();
  return std::clamp(key.rows * key.source, admitted.least, admitted.most);
}

Stage::Stage(const StageKey& key, Ensemble& ensemble, std::shared_ptr<EnsembleSteps> engines,
             const cuda::SearchState& search, cudaStream_t stream)
    : key_(key),
      search_(search),
      engines_(std::move(engines)),
      host_starts_(size(key.rows)),
      host_lengths_(size(key.rows)),
      host_sentence_(size(key.rows)),
      host_items_(item_count(ensemble)) {
  const Offsets offsets = place(key, search.candidates, ensemble);
  memory_ = cuda::DeviceBuffer(offsets.total);
  NMT_TRT_CUDA(cudaMemsetAsync(memory_.data(), 0, memory_.bytes(), stream));
  for (size_t model = 0; model < ensemble.size(); ++model) {
    models_.emplace_back(key, ensemble.shape(model), ensemble.plans(model).compute_type(),
                         offsets.models[model], memory_);
  }
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
  inputs_.max_position = ensemble.common().max_positions - 1;
  NMT_TRT_CUDA(
      cudaMemsetAsync(inputs_.sentence, 0xFF, size(key.rows) * sizeof(int32_t), stream));  // all padding
}

void Stage::prepare_encoder(int32_t tokens, std::shared_ptr<EnsembleEncoders> engines, cudaStream_t stream) {
  Encoder& encoder = encoders_[tokens];
  if (encoder.graph) return;
  encoder.engines = std::move(engines);
  // The last batch may have had more tokens than these engines have rows.
  NMT_TRT_CUDA(cudaMemsetAsync(lengths_, 0, host_lengths_.bytes(), stream));
  // CUDA loads kernels at their first run, which a capture must not be.
  enqueue_encoder(*encoder.engines, stream);
  encoder.graph = cuda::capture(stream, [&] { enqueue_encoder(*encoder.engines, stream); });
}

void Stage::enqueue_encoder(EnsembleEncoders& engines, cudaStream_t stream) {
  const cuda::PackedSources sources = {key_.rows, key_.source, starts_, lengths_};
  for (size_t model = 0; model < models_.size(); ++model) {
    models_[model].enqueue_encoder(sources, engines.of(model), stream);
  }
}

void Stage::encode(const SourceBatch& batch, int32_t tokens, cudaStream_t stream) {
  const Encoder& encoder = encoders_.at(tokens);
  int32_t end = 0;
  for (int32_t row = 0; row < key_.rows; ++row) {
    const bool real = row < batch.sentences;
    const int32_t length = real ? batch.lengths[row] : 0;
    if (real) encoder.engines->write(batch.ids + static_cast<std::ptrdiff_t>(row) * batch.width, length, end);
    host_starts_[size(row)] = end;
    host_lengths_[size(row)] = length;
    host_sentence_[size(row)] = real ? row : -1;
    end += length;
  }
  encoder.engines->send(stream);
  send_to_device(starts_, host_starts_, stream);
  send_to_device(lengths_, host_lengths_, stream);
  send_to_device(inputs_.sentence, host_sentence_, stream);
  encoder.graph.launch(stream);
}

void Stage::rehearse(cudaStream_t stream) {
  if (rehearsed_) return;
  enqueue_decoder(stream);
  enqueue_search(stream);
  NMT_TRT_CUDA(cudaStreamSynchronize(stream));
  rehearsed_ = true;
}

void Stage::enqueue_decoder(cudaStream_t stream) {
  for (size_t model = 0; model < models_.size(); ++model) {
    models_[model].enqueue_decoder(search_, inputs_, lengths_, engines_->of(model), stream);
  }
  engines_->combine(search_, inputs_, stream);
}

void Stage::enqueue_search(cudaStream_t stream) {
  if (search_.scores.rules != nullptr) cuda::find_edits(search_, inputs_, stream);
  const cuda::ModelLogits& logits = engines_->logits();
  if (search_.policy == PolicyKind::kSample) {
    cuda::draw_tokens(search_, inputs_, logits.logits, logits.type, candidates_, stream);
  } else {
    cuda::top_log_probs(search_, inputs_, logits.logits, logits.type, candidates_, stream);
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
  cuda::GatherItem* items = host_items_.data();
  for (size_t model = 0; model < models_.size(); ++model) {
    items = models_[model].write_items(from.models_[model], steps, items);
  }
  constexpr int64_t kLength = sizeof(int32_t);
  *items = {from.lengths_, lengths_, 1, kLength, kLength, kLength};
  send_to_device(items_, host_items_, stream);
  cuda::gather_rows(items_, static_cast<int32_t>(host_items_.size()), source_row_, key_.rows, stream);
}

}  // namespace nmt_trt
