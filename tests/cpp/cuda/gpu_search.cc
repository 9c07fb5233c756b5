#include "cuda/gpu_search.h"

#include <type_traits>
#include <utility>

#include "core/policy.h"
#include "generator/length_penalties.h"

namespace nmt_trt::testing {
namespace {

size_t size(int64_t count) { return static_cast<size_t>(count); }

}  // namespace

SearchOptions search_options(PolicyKind policy, int32_t beam_size, int32_t vocab_size,
                             std::vector<int32_t> max_lengths, float length_penalty) {
  SearchOptions options;
  options.policy = policy;
  options.beam_size = beam_size;
  options.num_hypotheses = beam_size;
  options.length_penalty = length_penalty;
  options.vocab_size = vocab_size;
  options.eos = 1;
  options.pad = 2;
  options.bos = 3;
  options.max_lengths = std::move(max_lengths);
  return options;
}

std::vector<float> penalty_table(const SearchOptions& options, int32_t capacity) {
  std::vector<float> table;
  for (int32_t length = 0; length < capacity + 4; ++length)
    table.push_back(length_penalty_at(options, length));
  return table;
}

cuda::BeamRules rules_of(const SearchOptions& options, const std::vector<float>& penalties) {
  const bool starts_with_word = options.bos != options.eos && options.bos != options.pad;
  return {options.policy, options.eos, options.pad, starts_with_word ? 2 : 1, penalties.data()};
}

GpuStage::GpuStage(const SearchOptions& options, const std::vector<int32_t>& sentence_of_row, int32_t slots)
    : sentence(sentence_of_row),
      token(sentence_of_row.size() * size(options.beam_size)),
      position(1),
      candidates(token.size() * size(make_policy(options)->candidates())) {
  inputs.rows = static_cast<int32_t>(sentence_of_row.size());
  inputs.slots = slots;
  inputs.sentence = sentence.data();
  inputs.token = token.data();
  inputs.position = position.data();
  inputs.max_position = slots / options.beam_size - 1;
}

GpuSearch::GpuSearch(const SearchOptions& options, int32_t most_rows, int32_t capacity)
    : options_(options),
      max_lengths_(options.max_lengths),
      words_(options.max_lengths.size() * size(options.beam_size)),
      tokens_(words_.size() * size(capacity)),
      ancestry_(tokens_.size()),
      steps_(1),
      bad_logits_(1),
      penalties_(penalty_table(options, capacity)),
      sum_(words_.size()),
      penalty_(words_.size()),
      token_scores_(options.token_scores ? tokens_.size() : 0),
      diversity_penalty_(std::vector<float>{options.diversity_penalty}),
      ended_(words_.size()),
      finished_(options.max_lengths.size()),
      own_finished_(options.max_lengths.size()),
      arrived_(1) {
  const cuda::BeamRules rules = rules_of(options, {});
  state_ = {options.policy,
            options.eos,
            options.pad,
            rules.other_length,
            static_cast<int32_t>(options.max_lengths.size()),
            options.beam_size,
            options.vocab_size,
            capacity,
            make_policy(options)->candidates(),
            max_lengths_.data(),
            penalties_.data(),
            sum_.data(),
            penalty_.data(),
            words_.data(),
            ended_.data(),
            tokens_.data(),
            ancestry_.data(),
            finished_.data(),
            own_finished_.data(),
            steps_.data(),
            bad_logits_.data(),
            arrived_.data(),
            progress_.device(),
            {},
            {},
            {},
            options.beam_groups,
            diversity_penalty_.data(),
            token_scores_.data(),
            nullptr};
  if (options.policy == PolicyKind::kSample) {
    samples_.emplace(state_.sentences);
    samples_->upload(options, nullptr);
    state_.samples = samples_->state();
  }
  if (options.policy == PolicyKind::kHf) {
    pool_.emplace(state_.sentences, options.beam_size, capacity, nullptr);
    pool_->upload(options, nullptr);
    state_.pool = pool_->state();
  }
  if (!changes_scores(options)) return;
  ModelShape shape{};
  shape.vocab_size = options.vocab_size;
  shape.eos = options.eos;
  shape.pad = options.pad;
  shape.bos = options.bos;
  scores_.emplace(shape, most_rows, options.beam_size, capacity, nullptr);
  scores_->reserve(options);
  scores_->upload(options, nullptr);
  state_.scores = scores_->state();
}

void GpuSearch::step(const GpuStage& stage, const std::vector<std::byte>& logits, DataType type) {
  const DeviceArray<std::byte> device_logits(logits);
  if (scores_) cuda::find_edits(state_, stage.inputs, nullptr);
  const auto expand = options_.policy == PolicyKind::kSample ? cuda::draw_tokens : cuda::top_log_probs;
  expand(state_, stage.inputs, device_logits.data(), type, stage.candidates.data(), nullptr);
  cuda::update_beams(state_, stage.inputs, stage.candidates.data(), nullptr);
  NMT_TRT_CUDA(cudaDeviceSynchronize());
}

std::vector<std::vector<Hypothesis>> GpuSearch::pooled(const SearchSnapshot& now) const {
  const size_t row = size(state_.capacity) * size(state_.beam_size);
  const auto so_far = [&](const auto& values) {
    std::decay_t<decltype(values)> found;
    for (size_t first = 0; first < values.size(); first += row) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first);
      found.insert(found.end(), begin, begin + now.steps * state_.beam_size);
    }
    return found;
  };
  return pool_->best(options_, now.steps, so_far(now.tokens), so_far(now.token_scores),
                     std::vector<AttentionRows>(options_.max_lengths.size()), nullptr);
}

SearchSnapshot GpuSearch::snapshot() const {
  NMT_TRT_CUDA(cudaDeviceSynchronize());
  SearchSnapshot found;
  const auto sums = sum_.values();
  const auto penalties = penalty_.values();
  const auto words = words_.values();
  const auto ended = ended_.values();
  for (size_t i = 0; i < sums.size(); ++i) {
    found.slots.push_back({sums[i], penalties[i], words[i], ended[i] != 0});
  }
  found.tokens = tokens_.values();
  found.ancestry = ancestry_.values();
  found.token_scores = token_scores_.values();
  found.finished = finished_.values();
  found.steps = steps_.values()[0];
  found.progress = *progress_.host();
  return found;
}

void expect_same(const SearchSnapshot& one, const SearchSnapshot& other) {
  ASSERT_EQ(one.slots.size(), other.slots.size());
  for (size_t i = 0; i < one.slots.size(); ++i) {
    ASSERT_EQ(bits_of(one.slots[i].sum), bits_of(other.slots[i].sum)) << "slot " << i;
    ASSERT_EQ(bits_of(one.slots[i].penalty), bits_of(other.slots[i].penalty)) << "slot " << i;
    ASSERT_EQ(one.slots[i].words, other.slots[i].words) << "slot " << i;
    ASSERT_EQ(one.slots[i].ended, other.slots[i].ended) << "slot " << i;
  }
  EXPECT_EQ(one.tokens, other.tokens);
  EXPECT_EQ(one.ancestry, other.ancestry);
  EXPECT_EQ(one.finished, other.finished);
  EXPECT_EQ(one.steps, other.steps);
  EXPECT_EQ(one.progress.steps(), other.progress.steps());
  EXPECT_EQ(one.active(), other.active());
  EXPECT_EQ(one.progress.bad_logits, other.progress.bad_logits);
}

}  // namespace nmt_trt::testing
