#include "core/beam_search.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "core/errors.h"
#include "core/gnmt_policy.h"
#include "core/nemo_policy.h"
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
  return std::make_unique<GnmtPolicy>(options);
}

BeamSearch::BeamSearch(SearchOptions options)
    : options_(validated(std::move(options))),
      policy_(make_policy(options_)),
      top_log_probs_(options_.vocab_size, options_.beam_size, policy_->excluded_token()),
      rows_(options_.max_lengths.size()),
      top_(rows_.size() * size(options_.beam_size) * size(options_.beam_size)) {
  std::iota(rows_.begin(), rows_.end(), size_t{0});
  sentences_.reserve(rows_.size());
  for (const int32_t limit : options_.max_lengths) {
    sentences_.push_back({Beam(options_.beam_size, options_.eos, options_.pad), limit, false});
  }
}

void BeamSearch::start(const float* logits) {
  if (steps_ != 0)
    throw UsageError("start() may be called once; this search is at step " + std::to_string(steps_));
  const size_t beam_size = size(options_.beam_size);
  for (size_t row = 0; row < rows_.size(); ++row) {
    top_log_probs_(logits + row * size(options_.vocab_size), &top_[row * beam_size]);
  }
  for (size_t row = 0; row < rows_.size(); ++row) {
    policy_->start(&top_[row * beam_size], moves_);
    sentence(row).beam.extend(moves_);
  }
  steps_ = 1;
  update_finished();
}

void BeamSearch::advance(const float* logits) {
  require_started("advance()");
  if (done())
    throw UsageError("advance() may be called until the search is done; it is, at step " +
                     std::to_string(steps_));
  expand_rows(logits);
  const size_t stride = size(options_.beam_size) * size(options_.beam_size);
  for (size_t row = 0; row < rows_.size(); ++row) {
    Beam& beam = sentence(row).beam;
    if (sentence(row).finished) {
      beam.idle();
    } else {
      policy_->advance(beam, &top_[row * stride], moves_);
      beam.extend(moves_);
    }
  }
  ++steps_;
  update_finished();
}

// All rows before any beam changes: an error then leaves the search as it was.
void BeamSearch::expand_rows(const float* logits) {
  const size_t beam_size = size(options_.beam_size);
  for (size_t row = 0; row < rows_.size(); ++row) {
    if (sentence(row).finished) continue;
    for (size_t k = 0; k < beam_size; ++k) {
      const size_t index = row * beam_size + k;
      if (!policy_->continues(sentence(row).beam.slot(static_cast<int32_t>(k)))) continue;
      top_log_probs_(logits + index * size(options_.vocab_size), &top_[index * beam_size]);
    }
  }
}

void BeamSearch::update_finished() {
  bool all = true;
  for (Sentence& sentence : sentences_) {
    sentence.finished = sentence.finished || sentence.beam.all_ended() || steps_ >= sentence.max_length;
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
  for (const Sentence& sentence : sentences_) all.push_back(sentence.beam.best(options_.num_hypotheses));
  return all;
}

void BeamSearch::require_started(const char* call) const {
  if (steps_ == 0)
    throw UsageError(std::string(call) + " may be called after start(); this search has not started");
}

}  // namespace nmt_trt
