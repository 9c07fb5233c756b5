#include "core/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "core/vector_kernels.h"

namespace nmt_trt {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

size_t padded(int32_t vocab_size) { return (static_cast<size_t>(vocab_size) + kBlock - 1) / kBlock * kBlock; }

}  // namespace

Sampler::Sampler(const SearchOptions& options, int32_t excluded)
    : vocab_size_(static_cast<size_t>(options.vocab_size)),
      excluded_(excluded),
      temperature_(options.sampling_temperature),
      topk_(static_cast<size_t>(options.sampling_topk)),
      topp_(static_cast<double>(options.sampling_topp)),
      seed_(options.seed),
      scores_(padded(options.vocab_size), kMinusInfinity),
      scratch_(scores_.size()),
      weights_(vocab_size_) {}

int32_t Sampler::operator()(const float* logits, const ScoreEdits& edits, const Draw& draw) {
  take_scores(logits, edits);
  if (topk_ > 0 && topk_ < vocab_size_) keep_topk();
  if (!weigh()) return kNone;
  if (topp_ < 1) keep_topp();
  const uint64_t total = std::accumulate(weights_.begin(), weights_.end(), uint64_t{0});
  const uint64_t place = drawn_place(seed_, draw, total);
  uint64_t sum = 0;
  size_t token = 0;
  while ((sum += weights_[token]) <= place) ++token;
  return static_cast<int32_t>(token);
}

void Sampler::take_scores(const float* logits, const ScoreEdits& edits) {
  const auto end = scores_.begin() + static_cast<std::ptrdiff_t>(vocab_size_);
  if (edits.forced()) {
    std::fill(scores_.begin(), end, kMinusInfinity);
  } else {
    std::copy(logits, logits + vocab_size_, scores_.begin());
  }
  for (const int32_t token : edits.never()) scores_[static_cast<size_t>(token)] = kMinusInfinity;
  for (const auto& edit : edits.edits()) scores_[static_cast<size_t>(edit.token)] = edit.score;
  if (excluded_ != kNone) scores_[static_cast<size_t>(excluded_)] = kMinusInfinity;
  std::for_each(scores_.begin(), end, [this](float& score) { score /= temperature_; });
}

// Those that score as the last of them stay too, as in transformers.
void Sampler::keep_topk() {
  const auto end = scores_.begin() + static_cast<std::ptrdiff_t>(vocab_size_);
  std::copy(scores_.begin(), end, scratch_.begin());
  const auto last = scratch_.begin() + static_cast<std::ptrdiff_t>(topk_ - 1);
  std::nth_element(scratch_.begin(), last, scratch_.begin() + static_cast<std::ptrdiff_t>(vocab_size_),
                   std::greater<>());
  const float least = *last;
  std::replace_if(scores_.begin(), end, [least](float score) { return score < least; }, kMinusInfinity);
}

// Whether a token is left.
bool Sampler::weigh() {
  const float best = *std::max_element(scores_.begin(), scores_.end());
  if (best == kMinusInfinity) return false;
  exp_shifted(scores_.data(), scores_.size() / kBlock, best, scratch_.data());
  for (size_t token = 0; token < vocab_size_; ++token) {
    weights_[token] = static_cast<uint64_t>(scratch_[token] * kWeightUnit);
  }
  return true;
}

// The lightest go that add up to no more than 1 - topp; of equal ones the higher token goes first. Seldom
// many stay, so the heaviest are taken from a heap.
void Sampler::keep_topp() {
  order_.clear();
  uint64_t rest = 0;
  for (size_t token = 0; token < vocab_size_; ++token) {
    if (weights_[token] > 0) order_.push_back(static_cast<int32_t>(token));
    rest += weights_[token];
  }
  const double limit = (1 - topp_) * static_cast<double>(rest);
  const auto lighter = [this](int32_t a, int32_t b) {
    const float score_a = scores_[static_cast<size_t>(a)];
    const float score_b = scores_[static_cast<size_t>(b)];
    return score_a != score_b ? score_a < score_b : a > b;
  };
  auto end = order_.end();
  std::make_heap(order_.begin(), end, lighter);
  do {
    std::pop_heap(order_.begin(), end, lighter);
    rest -= weights_[static_cast<size_t>(*--end)];
  } while (end != order_.begin() && static_cast<double>(rest) > limit);
  std::for_each(order_.begin(), end, [this](int32_t token) { weights_[static_cast<size_t>(token)] = 0; });
}

}  // namespace nmt_trt
