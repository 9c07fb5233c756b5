#include "core/score_edits.h"

#include <algorithm>

namespace nmt_trt {

ScoreEdits::ScoreEdits(int32_t vocab_size, bool of_logits, const std::vector<int32_t>& never)
    : place_(static_cast<size_t>(vocab_size), kNowhere), never_(never), of_logits_(of_logits) {
  std::sort(never_.begin(), never_.end());
  for (const int32_t token : never_) place_[static_cast<size_t>(token)] = kNever;
}

void ScoreEdits::begin(const float* logits, double normaliser) {
  clear();
  logits_ = logits;
  normaliser_ = normaliser;
}

float ScoreEdits::original(int32_t token) const {
  const float logit = logits_[token];
  return of_logits_ ? logit : static_cast<float>(static_cast<double>(logit) - normaliser_);
}

void ScoreEdits::set(int32_t token, float score) {
  int32_t& place = place_[static_cast<size_t>(token)];
  if (place >= 0) {
    edits_[static_cast<size_t>(place)].score = score;
  } else if (place == kNowhere && !forced_) {
    place = static_cast<int32_t>(edits_.size());
    edits_.push_back({token, score});
  }
}

void ScoreEdits::ban(int32_t token) { set(token, kBanned); }

void ScoreEdits::force(int32_t token) {
  clear();
  set(token, 0.0F);
  forced_ = true;
}

float ScoreEdits::log_prob(const Edit& edit) const {
  if (forced_ || !of_logits_) return edit.score;
  return static_cast<float>(static_cast<double>(edit.score) - normaliser_);
}

float ScoreEdits::log_prob(int32_t token) const {
  const int32_t place = place_[static_cast<size_t>(token)];
  if (place == kNever) return kBanned;
  if (place != kNowhere) return log_prob(edits_[static_cast<size_t>(place)]);
  return static_cast<float>(static_cast<double>(logits_[token]) - normaliser_);
}

void ScoreEdits::clear() {
  for (const Edit& edit : edits_) place_[static_cast<size_t>(edit.token)] = kNowhere;
  edits_.clear();
  forced_ = false;
}

}  // namespace nmt_trt
