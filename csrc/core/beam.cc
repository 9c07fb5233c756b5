#include "core/beam.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace nmt_trt {

Beam::Beam(int32_t size, int32_t eos, int32_t pad, bool keeps_scores)
    : eos_(eos),
      pad_(pad),
      keeps_scores_(keeps_scores),
      slots_(static_cast<size_t>(size)),
      last_(slots_.size(), pad),
      ancestry_(slots_.size()),
      new_ancestry_(slots_.size()) {}

Beam::Beam(int32_t eos, int32_t pad, std::vector<Slot> slots, std::vector<int32_t> tokens,
           std::vector<float> scores, std::vector<std::vector<int32_t>> ancestry)
    : eos_(eos),
      pad_(pad),
      keeps_scores_(!scores.empty()),
      slots_(std::move(slots)),
      last_(slots_.size(), pad),
      tokens_(std::move(tokens)),
      scores_(std::move(scores)),
      ancestry_(std::move(ancestry)),
      new_ancestry_(slots_.size()) {
  if (tokens_.size() >= slots_.size()) {
    std::copy(tokens_.end() - static_cast<std::ptrdiff_t>(slots_.size()), tokens_.end(), last_.begin());
  }
}

void Beam::extend(const std::vector<Move>& moves) {
  for (size_t k = 0; k < slots_.size(); ++k) {
    const auto& parent = ancestry_[static_cast<size_t>(moves[k].parent)];
    new_ancestry_[k].assign(parent.begin(), parent.end());
    new_ancestry_[k].push_back(static_cast<int32_t>(k));
    slots_[k] = moves[k].slot;
    last_[k] = moves[k].token;
    if (keeps_scores_) scores_.push_back(moves[k].log_prob);
  }
  ancestry_.swap(new_ancestry_);
  tokens_.insert(tokens_.end(), last_.begin(), last_.end());
}

void Beam::idle() {
  for (size_t k = 0; k < slots_.size(); ++k) ancestry_[k].push_back(static_cast<int32_t>(k));
  std::fill(last_.begin(), last_.end(), pad_);
  if (keeps_scores_) scores_.resize(scores_.size() + slots_.size(), Move{}.log_prob);
  tokens_.insert(tokens_.end(), last_.begin(), last_.end());
}

bool Beam::all_ended() const {
  return std::all_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.ended; });
}

std::vector<Hypothesis> Beam::best(int32_t count) const {
  std::vector<int32_t> order(slots_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [this](int32_t a, int32_t b) { return slot(a).score() > slot(b).score(); });
  std::vector<Hypothesis> found;
  for (const int32_t k : order) {
    if (static_cast<int32_t>(found.size()) == count || (slot(k).dead() && !found.empty())) break;
    found.push_back(hypothesis(k));
  }
  return found;
}

Hypothesis Beam::hypothesis(int32_t k) const {
  Hypothesis found{{}, slot(k).score(), slot(k).sum, {}, {}};
  words(k, pad_, found.tokens);
  append_scores(k, found.token_scores);
  if (attention_.kept()) found.attention = attention_path(k).rows();
  return found;
}

void Beam::words(int32_t k, int32_t next, std::vector<int32_t>& words) const {
  words.clear();
  append_tokens(k, words);
  words.push_back(next);
  const auto is_special = [this](int32_t token) { return token == eos_ || token == pad_; };
  words.erase(std::remove_if(words.begin(), words.end(), is_special), words.end());
}

void Beam::append_tokens(int32_t k, std::vector<int32_t>& tokens) const {
  const auto& path = ancestry(k);
  for (size_t step = 0; step < path.size(); ++step) tokens.push_back(token(step, path[step]));
}

void Beam::append_scores(int32_t k, std::vector<float>& scores) const {
  if (!keeps_scores_) return;
  const auto& path = ancestry(k);
  for (size_t step = 0; step < path.size(); ++step) {
    const float score = scores_[step * slots_.size() + static_cast<size_t>(path[step])];
    if (!std::isnan(score)) scores.push_back(score);
  }
}

AttentionPath Beam::attention_path(int32_t k) const {
  AttentionPath attention(attention_, eos_, pad_);
  const auto& path = ancestry(k);
  for (size_t step = 0; step < path.size(); ++step) {
    const size_t at = step * slots_.size() + static_cast<size_t>(path[step]);
    if (!std::isnan(scores_[at])) attention.add(step, step == 0 ? 0 : path[step - 1], tokens_[at]);
  }
  return attention;
}

}  // namespace nmt_trt
