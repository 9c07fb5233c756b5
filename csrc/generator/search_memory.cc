#include "generator/search_memory.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/beam.h"
#include "core/coverage.h"
#include "core/policy.h"
#include "core/sentence.h"
#include "cuda/check.h"
#include "generator/download.h"
#include "generator/layout.h"
#include "generator/length_penalties.h"
#include "generator/send_to_device.h"

namespace nmt_trt {
namespace {

size_t size(int32_t count) { return static_cast<size_t>(count); }

/// The rules of a search that this key stands for.
std::unique_ptr<Policy> policy_of(const SearchKey& key) {
  SearchOptions options;
  options.policy = key.policy;
  options.beam_size = key.beam_size;
  options.beam_groups = key.beam_groups;
  return make_policy(options);
}

}  // namespace

SearchMemory::SearchMemory(const ModelShape& shape, const SearchKey& key, int32_t sentences, int32_t capacity,
                           cudaStream_t stream)
    : limits_(size(sentences)), penalties_(size(capacity) + 4), diversity_penalty_(1) {
  const int32_t candidates = policy_of(key)->candidates();
  const size_t beams = size(sentences) * size(key.beam_size);
  const size_t tokens = beams * size(capacity);
  Layout layout;
  const size_t max_lengths = layout.add<int32_t>(size(sentences));
  const size_t penalties = layout.add<float>(size(capacity) + 4);
  const size_t diversity_penalty = layout.add<float>(1);
  const size_t sum = layout.add<float>(beams);
  const size_t penalty = layout.add<float>(beams);
  const size_t words = layout.add<int32_t>(beams);
  const size_t ended = layout.add<uint8_t>(beams);
  const size_t token = layout.add<int32_t>(tokens);
  const size_t ancestry = layout.add<int32_t>(tokens);
  const size_t token_scores = key.token_scores ? layout.add<float>(tokens) : 0;
  const size_t finished = layout.add<uint8_t>(size(sentences));
  const size_t own_finished = layout.add<uint8_t>(size(sentences));
  const size_t steps = layout.add<int32_t>(1);
  const size_t bad_logits = layout.add<int32_t>(1);
  const size_t arrived = layout.add<uint32_t>(1);
  memory_ = cuda::DeviceBuffer(layout.bytes());
  NMT_TRT_CUDA(cudaMemsetAsync(memory_.data(), 0, memory_.bytes(), stream));
  if (key.scores) scores_.emplace(shape, sentences, key.beam_size, capacity, stream);
  if (key.policy == PolicyKind::kHf) pool_.emplace(sentences, key.beam_size, capacity, stream);
  if (key.policy == PolicyKind::kSample) samples_.emplace(sentences);
  if (key.attention) attention_.emplace();

  state_.policy = key.policy;
  state_.eos = shape.eos;
  state_.pad = shape.pad;
  state_.other_length = shape.bos != shape.eos && shape.bos != shape.pad ? 2 : 1;
  state_.sentences = sentences;
  state_.beam_size = key.beam_size;
  state_.candidates = candidates;
  state_.vocab_size = shape.vocab_size;
  state_.capacity = capacity;
  state_.max_lengths = at<int32_t>(memory_, max_lengths);
  state_.penalties = at<float>(memory_, penalties);
  state_.sum = at<float>(memory_, sum);
  state_.penalty = at<float>(memory_, penalty);
  state_.words = at<int32_t>(memory_, words);
  state_.ended = at<uint8_t>(memory_, ended);
  state_.tokens = at<int32_t>(memory_, token);
  state_.ancestry = at<int32_t>(memory_, ancestry);
  state_.finished = at<uint8_t>(memory_, finished);
  state_.own_finished = at<uint8_t>(memory_, own_finished);
  state_.steps = at<int32_t>(memory_, steps);
  state_.bad_logits = at<int32_t>(memory_, bad_logits);
  state_.arrived = at<uint32_t>(memory_, arrived);
  state_.progress = progress_.device();
  if (key.token_scores) state_.token_scores = at<float>(memory_, token_scores);
  if (scores_) state_.scores = scores_->state();
  if (pool_) state_.pool = pool_->state();
  if (samples_) state_.samples = samples_->state();
  if (attention_) state_.attention = attention_->state();
  state_.groups = key.beam_groups;
  if (key.beam_groups > 1) state_.diversity_penalty = at<float>(memory_, diversity_penalty);
}

void SearchMemory::upload(const SearchOptions& options, cudaStream_t stream) {
  *progress_.host() = {};
  std::fill(limits_.begin(), limits_.end(), 0);
  std::copy(options.max_lengths.begin(), options.max_lengths.end(), limits_.begin());
  for (size_t length = 0; length < penalties_.size(); ++length) {
    penalties_[length] = length_penalty_at(options, static_cast<int32_t>(length));
  }
  send_to_device(state_.max_lengths, limits_, stream);
  send_to_device(state_.penalties, penalties_, stream);
  if (scores_) scores_->upload(options, stream);
  if (pool_) pool_->upload(options, stream);
  if (samples_) samples_->upload(options, stream);
  if (state_.diversity_penalty == nullptr) return;
  diversity_penalty_[0] = options.diversity_penalty;
  send_to_device(state_.diversity_penalty, diversity_penalty_, stream);
}

std::vector<std::vector<Hypothesis>> SearchMemory::results(const SearchOptions& options, int32_t steps,
                                                           cudaStream_t stream) {
  const size_t sentences = options.max_lengths.size();
  const size_t beam_size = size(state_.beam_size);
  const size_t beams = sentences * beam_size;
  const size_t row = size(steps) * beam_size;
  const auto sums = download(state_.sum, beams, stream);
  const auto penalties = download(state_.penalty, beams, stream);
  const auto words = download(state_.words, beams, stream);
  const auto ended = download(state_.ended, beams, stream);
  const auto tokens =
      download_steps(state_.tokens, sentences, size(state_.capacity), size(steps), beam_size, stream);
  std::vector<float> scores;
  if (state_.token_scores != nullptr) {
    scores =
        download_steps(state_.token_scores, sentences, size(state_.capacity), size(steps), beam_size, stream);
  }
  const auto ancestry = download_steps(state_.ancestry, beams, size(state_.capacity), size(steps), 1, stream);
  NMT_TRT_CUDA(cudaStreamSynchronize(stream));

  std::vector<AttentionRows> attention(sentences);
  if (attention_) attention = attention_->rows(options, steps, stream);

  const std::unique_ptr<Policy> policy = make_policy(options);
  std::vector<std::vector<Hypothesis>> all(sentences);
  if (pool_) all = pool_->best(options, steps, tokens, scores, attention, stream);
  for (size_t sentence = 0; sentence < sentences; ++sentence) {
    if (!all[sentence].empty()) continue;
    std::vector<Slot> slots;
    std::vector<std::vector<int32_t>> paths;
    for (size_t beam = sentence * beam_size; beam < (sentence + 1) * beam_size; ++beam) {
      slots.push_back({sums[beam], penalties[beam], words[beam], ended[beam] != 0});
      paths.emplace_back(&ancestry[beam * size(steps)], &ancestry[beam * size(steps)] + steps);
    }
    const auto of_sentence = [sentence, row](const auto& values) {
      if (values.empty()) return values;
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(sentence * row);
      return std::vector(first, first + static_cast<std::ptrdiff_t>(row));
    };
    Beam beam(options.eos, options.pad, std::move(slots), of_sentence(tokens), of_sentence(scores),
              std::move(paths));
    beam.attention() = std::move(attention[sentence]);
    all[sentence] =
        policy->results({sentence, std::move(beam), FinishedPool(0), options.max_lengths[sentence], true},
                        hypotheses_sought(options));
  }
  for (size_t sentence = 0; attention_ && sentence < sentences; ++sentence) {
    settle_attention(options, sentence, all[sentence]);
  }
  return all;
}

}  // namespace nmt_trt
