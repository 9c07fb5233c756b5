#include "core/beam_search.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "core/coverage.h"
#include "core/diverse_policy.h"
#include "core/errors.h"
#include "core/gnmt_policy.h"
#include "core/hf_policy.h"
#include "core/nemo_policy.h"
#include "core/sample_policy.h"
#include "core/self_bias.h"

namespace nmt_trt {
namespace {

SearchOptions validated(SearchOptions options) {
  validate(options);
  return options;
}

size_t size(int32_t count) { return static_cast<size_t>(count); }

}  // namespace

std::unique_ptr<Policy> make_policy(const SearchOptions& options) {
  if (options.policy == PolicyKind::kNemo) return std::make_unique<NemoPolicy>(options);
  if (options.policy == PolicyKind::kHf) return std::make_unique<HfPolicy>(options);
  if (options.policy == PolicyKind::kSample) return std::make_unique<SamplePolicy>(options);
  if (options.beam_groups > 1) return std::make_unique<DiversePolicy>(options);
  return std::make_unique<GnmtPolicy>(options);
}

BeamSearch::BeamSearch(SearchOptions options)
    : options_(validated(std::move(options))),
      policy_(make_policy(options_)),
      top_log_probs_(options_.vocab_size, policy_->candidates(), policy_->excluded_token()),
      processors_(options_, policy_->processes_logits()),
      rows_(options_.max_lengths.size()),
      top_(rows_.size() * size(options_.beam_size) * size(policy_->candidates())) {
  std::iota(rows_.begin(), rows_.end(), size_t{0});
  if (policy_->samples()) sampler_.emplace(options_, policy_->excluded_token());
  sentences_.reserve(rows_.size());
  for (const int32_t limit : options_.max_lengths) {
    Beam beam(options_.beam_size, options_.eos, options_.pad, keeps_token_scores(options_));
    if (keeps_attention(options_)) {
      beam.attention() = AttentionRows(options_.beam_size, options_.source_lengths[sentences_.size()]);
    }
    sentences_.push_back(
        {sentences_.size(), std::move(beam), FinishedPool(policy_->pool_size()), limit, false});
  }
}

void BeamSearch::start(const float* logits, const SourceAttention& attention) {
  if (steps_ != 0)
    throw UsageError("start() may be called once; this search is at step " + std::to_string(steps_));
  const size_t stride = size(options_.beam_size) * size(policy_->candidates());
  const int32_t firsts = policy_->samples() ? options_.beam_size : 1;
  for (size_t row = 0; row < rows_.size(); ++row) {
    for (int32_t k = 0; k < firsts; ++k) {
      expand(sentence(row), k, logits + row * size(options_.vocab_size),
             &top_[row * stride + size(k) * size(policy_->candidates())]);
    }
  }
  take_attention(attention, 1);
  for (size_t row = 0; row < rows_.size(); ++row) {
    policy_->start(&top_[row * stride], moves_);
    extend(sentence(row));
  }
  steps_ = 1;
  update_finished();
}

void BeamSearch::advance(const float* logits, const SourceAttention& attention) {
  require_started("advance()");
  if (done())
    throw UsageError("advance() may be called until the search is done; it is, at step " +
                     std::to_string(steps_));
  expand_rows(logits);
  take_attention(attention, options_.beam_size);
  const size_t stride = size(options_.beam_size) * size(policy_->candidates());
  for (size_t row = 0; row < rows_.size(); ++row) {
    Beam& beam = sentence(row).beam;
    if (sentence(row).finished) {
      beam.idle();
    } else {
      policy_->advance(beam, &top_[row * stride], moves_);
      extend(sentence(row));
    }
  }
  ++steps_;
  update_finished();
}

// All rows are checked before any is taken: an error then leaves the search as it was.
void BeamSearch::take_attention(const SourceAttention& attention, int32_t hypotheses) {
  if (!keeps_attention(options_)) return;
  for (size_t row = 0; row < rows_.size(); ++row) {
    const int32_t source = options_.source_lengths[rows_[row]];
    if (attention.rows != nullptr && attention.width >= source) continue;
    throw UsageError("attention", "rows of at least " + std::to_string(source) + " source tokens",
                     attention.rows == nullptr ? "none" : std::to_string(attention.width));
  }
  const float* rows = attention.rows;
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (!sentence(row).finished) sentence(row).beam.attention().append(rows, hypotheses, attention.width);
    rows += size(hypotheses) * size(attention.width);
  }
}

// All rows before any beam changes: an error then leaves the search as it was.
void BeamSearch::expand_rows(const float* logits) {
  const int32_t beam_size = options_.beam_size;
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (sentence(row).finished) continue;
    for (int32_t k = 0; k < beam_size; ++k) {
      const size_t index = row * size(beam_size) + size(k);
      if (!policy_->continues(sentence(row).beam.slot(k))) continue;
      expand(sentence(row), k, logits + index * size(options_.vocab_size),
             &top_[index * size(policy_->candidates())]);
    }
  }
}

void BeamSearch::expand(const Sentence& sentence, int32_t k, const float* logits, Candidate* top) {
  if (const int32_t token = prefix_token(sentence); token != kNoToken) {
    top_log_probs_.only(logits, token, top);
    return;
  }
  if (sampler_.has_value()) {
    sample(sentence, k, logits, top);
    return;
  }
  if (processors_.empty()) {
    top_log_probs_(logits, top);
    return;
  }
  const double normaliser = top_log_probs_.normaliser(logits);
  const ScoreEdits& edits = processors_(logits, normaliser, sentence.beam, k, sentence.max_length);
  top_log_probs_(logits, normaliser, edits, top);
}

void BeamSearch::sample(const Sentence& sentence, int32_t k, const float* logits, Candidate* drawn) {
  const double normaliser = top_log_probs_.normaliser(logits);
  const ScoreEdits& edits = processors_(logits, normaliser, sentence.beam, k, sentence.max_length);
  const auto& numbers = options_.sentence_numbers;
  const uint64_t number = numbers.empty() ? sentence.index : numbers[sentence.index];
  const int32_t token = (*sampler_)(logits, edits, {number, k, steps_});
  *drawn = {token == Sampler::kNone ? ScoreEdits::kBanned : edits.log_prob(token), token};
}

int32_t BeamSearch::prefix_token(const Sentence& sentence) const {
  if (options_.target_prefix.empty()) return kNoToken;
  const auto& prefix = options_.target_prefix[sentence.index];
  return size(steps_) < prefix.size() ? prefix[size(steps_)] : kNoToken;
}

void BeamSearch::extend(Sentence& sentence) {
  policy_->settle(sentence, moves_);
  sentence.beam.extend(moves_);
}

void BeamSearch::update_finished() {
  bool all = true;
  for (Sentence& sentence : sentences_) {
    sentence.finished = sentence.finished || policy_->finished(sentence);
    all = all && sentence.finished;
  }
  if (policy_->ends_together()) {
    for (Sentence& sentence : sentences_) sentence.finished = all;
  }
}

bool BeamSearch::done() const {
  return steps_ > 0 &&
         std::all_of(sentences_.begin(), sentences_.end(), [](const Sentence& s) { return s.finished; });
}

int32_t BeamSearch::finished_rows() const {
  if (policy_->ends_together()) return 0;
  return static_cast<int32_t>(
      std::count_if(rows_.begin(), rows_.end(), [this](size_t s) { return sentences_[s].finished; }));
}

std::vector<int32_t> BeamSearch::compact() {
  require_started("compact()");
  std::vector<int32_t> kept;
  std::vector<size_t> rows;
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (sentence(row).finished && !policy_->ends_together()) continue;
    kept.push_back(static_cast<int32_t>(row));
    rows.push_back(rows_[row]);
  }
  rows_.swap(rows);
  return kept;
}

void BeamSearch::tokens(int32_t* tokens) const {
  require_started("tokens()");
  for (size_t row = 0; row < rows_.size(); ++row) {
    for (int32_t k = 0; k < options_.beam_size; ++k) *tokens++ = sentence(row).beam.last_token(k);
  }
}

void BeamSearch::ancestry(int32_t* ancestry) const {
  require_started("ancestry()");
  for (size_t row = 0; row < rows_.size(); ++row) {
    for (int32_t k = 0; k < options_.beam_size; ++k) {
      const auto& path = sentence(row).beam.ancestry(k);
      ancestry = std::copy(path.begin(), path.end(), ancestry);
    }
  }
}

bool BeamSearch::leaks() const {
  return options_.policy == PolicyKind::kNemo && sentences_.size() > 1 && options_.beam_size > 1;
}

void BeamSearch::write_self_bias(float* bias, int32_t slots, int32_t prefix_slots,
                                 const int32_t* prefix_lengths) const {
  require_started("write_self_bias()");
  check_prefix(slots, prefix_slots, prefix_lengths);
  SelfBiasLayout layout{slots, prefix_slots, prefix_slots, leaks(), policy_->pad_query_bias()};
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (prefix_lengths != nullptr) layout.prefix_length = prefix_lengths[row];
    nmt_trt::write_self_bias(sentence(row).beam, options_.pad, layout, bias);
    bias += size(options_.beam_size) * size(slots);
  }
}

void BeamSearch::check_prefix(int32_t slots, int32_t prefix_slots, const int32_t* prefix_lengths) const {
  if (prefix_slots < 0) throw UsageError("prefix_slots", "0 or more", std::to_string(prefix_slots));
  if (leaks() && prefix_slots != options_.beam_size) {
    throw UsageError("prefix_slots",
                     "beam_size " + std::to_string(options_.beam_size) + " when the search leaks",
                     std::to_string(prefix_slots));
  }
  if (leaks() && prefix_lengths != nullptr) {
    throw UsageError("prefix_lengths", "None when the search leaks", "an array");
  }
  const int64_t needed = prefix_slots + int64_t{steps_} * options_.beam_size;
  if (slots < needed) {
    throw UsageError("the slots of bias",
                     "at least " + std::to_string(needed) + " at step " + std::to_string(steps_),
                     std::to_string(slots));
  }
  for (size_t row = 0; prefix_lengths != nullptr && row < rows_.size(); ++row) {
    if (prefix_lengths[row] < 0 || prefix_lengths[row] > prefix_slots) {
      throw UsageError("prefix_lengths[" + std::to_string(row) + "]",
                       "from 0 to prefix_slots " + std::to_string(prefix_slots),
                       std::to_string(prefix_lengths[row]));
    }
  }
}

std::vector<std::vector<Hypothesis>> BeamSearch::results() const {
  require_started("results()");
  std::vector<std::vector<Hypothesis>> all;
  all.reserve(sentences_.size());
  for (const Sentence& sentence : sentences_) {
    all.push_back(policy_->results(sentence, hypotheses_sought(options_)));
    if (keeps_attention(options_)) settle_attention(options_, sentence.index, all.back());
  }
  return all;
}

void BeamSearch::require_started(const char* call) const {
  if (steps_ == 0)
    throw UsageError(std::string(call) + " may be called after start(); this search has not started");
}

}  // namespace nmt_trt
