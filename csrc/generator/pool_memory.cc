#include "generator/pool_memory.h"

#include <algorithm>

#include "core/finished_pool.h"
#include "cuda/check.h"
#include "generator/download.h"
#include "generator/layout.h"
#include "generator/send_to_device.h"

namespace nmt_trt {
namespace {

size_t size(int64_t count) { return static_cast<size_t>(count); }

/// What hypotheses of one sentence went through. tokens, scores, parents: [steps, K].
struct Paths {
  const int32_t* tokens;
  const float* scores;  // null: not kept
  const int32_t* parents;
  int32_t beam_size;
  const AttentionRows& kept;

  /// The tokens of what is in a place, EOS and PAD left out.
  std::vector<int32_t> words(const cuda::PoolPlace& place, const SearchOptions& options) const {
    std::vector<int32_t> words = along(place, tokens, place.token);
    const auto is_special = [&options](int32_t token) {
      return token == options.eos || token == options.pad;
    };
    words.erase(std::remove_if(words.begin(), words.end(), is_special), words.end());
    return words;
  }
  std::vector<float> token_scores(const cuda::PoolPlace& place) const {
    return scores == nullptr ? std::vector<float>() : along(place, scores, place.log_prob);
  }
  std::vector<float> attention(const cuda::PoolPlace& place, const SearchOptions& options) const {
    if (!kept.kept()) return {};
    const std::vector<int32_t> generated = along(place, tokens, place.token);
    const std::vector<int32_t> slots = slots_of(place);
    AttentionPath path(kept, options.eos, options.pad);
    for (size_t step = 0; step < generated.size(); ++step) {
      path.add(step, step == 0 ? 0 : slots[step - 1], generated[step]);
    }
    return path.rows();
  }

 private:
  /// The slot of each step.
  std::vector<int32_t> slots_of(const cuda::PoolPlace& place) const {
    std::vector<int32_t> slots(size(place.steps));
    int32_t slot = place.parent;
    for (int32_t step = place.steps - 1; step >= 0; --step) {
      slots[size(step)] = slot;
      slot = parents[size(step * beam_size + slot)];
    }
    return slots;
  }
  template <typename T>
  std::vector<T> along(const cuda::PoolPlace& place, const T* values, T last) const {
    std::vector<T> found;
    for (const int32_t slot : slots_of(place)) {
      found.push_back(values[found.size() * size(beam_size) + size(slot)]);
    }
    found.push_back(last);
    return found;
  }
};

}  // namespace

PoolMemory::PoolMemory(int32_t sentences, int32_t beam_size, int32_t capacity, cudaStream_t stream)
    : beam_size_(beam_size), capacity_(capacity), host_rules_(1) {
  const size_t beams = size(sentences) * size(beam_size);
  Layout layout;
  const size_t rules = layout.add<cuda::StopRules>(1);
  const size_t places = layout.add<cuda::PoolPlace>(beams * size(kMaxPatience));
  const size_t counts = layout.add<int32_t>(size(sentences));
  const size_t parents = layout.add<int32_t>(beams * size(capacity));
  memory_ = cuda::DeviceBuffer(layout.bytes());
  NMT_TRT_CUDA(cudaMemsetAsync(memory_.data(), 0, memory_.bytes(), stream));
  state_.rules = at<cuda::StopRules>(memory_, rules);
  state_.places = at<cuda::PoolPlace>(memory_, places);
  state_.counts = at<int32_t>(memory_, counts);
  state_.parents = at<int32_t>(memory_, parents);
}

// Greedy search ends with its first finished hypothesis.
cuda::StopRules PoolMemory::stop_rules(const SearchOptions& options) {
  const EarlyStopping stop = options.beam_size == 1 ? EarlyStopping::kYes : options.early_stopping;
  return {stop == EarlyStopping::kYes, stop == EarlyStopping::kNever && options.length_penalty > 0,
          pool_places(options)};
}

void PoolMemory::upload(const SearchOptions& options, cudaStream_t stream) {
  host_rules_[0] = stop_rules(options);
  send_to_device(state_.rules, host_rules_, stream);
}

std::vector<std::vector<Hypothesis>> PoolMemory::best(const SearchOptions& options, int32_t steps,
                                                      const std::vector<int32_t>& tokens,
                                                      const std::vector<float>& scores,
                                                      const std::vector<AttentionRows>& attention,
                                                      cudaStream_t stream) const {
  const size_t sentences = options.max_lengths.size();
  const auto counts = download(state_.counts, sentences, stream);
  const size_t most_places = size(beam_size_) * size(kMaxPatience);
  const auto places = download(state_.places, sentences * most_places, stream);
  const auto parents =
      download_steps(state_.parents, sentences, size(capacity_), size(steps), size(beam_size_), stream);
  NMT_TRT_CUDA(cudaStreamSynchronize(stream));
  std::vector<std::vector<Hypothesis>> all(sentences);
  for (size_t sentence = 0; sentence < sentences; ++sentence) {
    const size_t first = sentence * size(steps) * size(beam_size_);
    const Paths paths = {&tokens[first], scores.empty() ? nullptr : &scores[first], &parents[first],
                         beam_size_, attention[sentence]};
    std::vector<Hypothesis>& found = all[sentence];
    const size_t sought = size(hypotheses_sought(options));
    for (int32_t i = 0; i < counts[sentence] && found.size() < sought; ++i) {
      const cuda::PoolPlace& place = places[sentence * most_places + size(i)];
      if (!(place.sum > FinishedPool::kAway / 2)) continue;
      found.push_back({paths.words(place, options), place.score, place.sum, paths.token_scores(place),
                       paths.attention(place, options)});
    }
  }
  return all;
}

}  // namespace nmt_trt
