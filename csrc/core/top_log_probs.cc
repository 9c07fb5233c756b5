#include "core/top_log_probs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/errors.h"
#include "core/vector_kernels.h"

namespace nmt_trt {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Puts a logit above best[count - 1] where it belongs; an equal one goes behind, its token being the higher.
void insert(Candidate candidate, Candidate* best, size_t count) {
  size_t place = count - 1;
  for (; place > 0 && best[place - 1].log_prob < candidate.log_prob; --place) best[place] = best[place - 1];
  best[place] = candidate;
}

}  // namespace

TopLogProbs::TopLogProbs(int32_t vocab_size, int32_t count, int32_t excluded)
    : vocab_size_(static_cast<size_t>(vocab_size)),
      count_(static_cast<size_t>(count)),
      excluded_(excluded),
      tail_(kBlock, kMinusInfinity),
      maxima_((vocab_size_ + kBlock - 1) / kBlock) {}

void TopLogProbs::operator()(const float* logits, Candidate* best) {
  select(logits, [this](int32_t token) { return token == excluded_; }, normaliser(logits), best);
}

void TopLogProbs::operator()(const float* logits, double normaliser, const ScoreEdits& edits,
                             Candidate* best) const {
  if (edits.forced()) {
    std::fill(best, best + count_, Candidate{kMinusInfinity, 0});
  } else {
    select(logits, [&](int32_t token) { return token == excluded_ || edits.has(token); }, normaliser, best);
  }
  for (const ScoreEdits::Edit& edit : edits.edits()) {
    const float log_prob = edits.log_prob(edit);
    if (log_prob > best[count_ - 1].log_prob && edit.token != excluded_) {
      insert({log_prob, edit.token}, best, count_);
    }
  }
}

void TopLogProbs::only(const float* logits, int32_t token, Candidate* best) {
  std::fill(best, best + count_, Candidate{kMinusInfinity, 0});
  const auto log_prob = static_cast<double>(logits[token]) - normaliser(logits);
  best[0] = {static_cast<float>(log_prob), token};
}

double TopLogProbs::normaliser(const float* logits) {
  const size_t whole = vocab_size_ / kBlock;
  const bool has_tail = maxima_.size() > whole;
  block_maxima(logits, whole, maxima_.data());
  if (has_tail) {
    std::copy(logits + whole * kBlock, logits + vocab_size_, tail_.begin());
    block_maxima(tail_.data(), 1, &maxima_[whole]);
  }
  const float largest = *std::max_element(maxima_.begin(), maxima_.end());
  double sum = sum_exp(logits, whole, largest);
  if (has_tail) sum += sum_exp(tail_.data(), 1, largest);
  if (!std::isfinite(sum)) {
    throw LogitsError(
        "every logit must be a number below +inf and one of them finite; given NaN, +inf or all -inf");
  }
  return static_cast<double>(largest) + std::log(sum);
}

// Most blocks are passed over by one comparison with their largest element.
template <typename Skips>
void TopLogProbs::select(const float* logits, const Skips& skips, double normaliser, Candidate* best) const {
  std::fill(best, best + count_, Candidate{kMinusInfinity, 0});
  for (size_t block = 0; block < maxima_.size(); ++block) {
    if (maxima_[block] > best[count_ - 1].log_prob) {
      scan(logits, block * kBlock, std::min((block + 1) * kBlock, vocab_size_), skips, best);
    }
  }
  for (size_t i = 0; i < count_; ++i) {
    best[i].log_prob = static_cast<float>(static_cast<double>(best[i].log_prob) - normaliser);
  }
}

// Leaves logits where log_prob will be.
template <typename Skips>
void TopLogProbs::scan(const float* logits, size_t begin, size_t end, const Skips& skips,
                       Candidate* best) const {
  for (size_t token = begin; token < end; ++token) {
    if (logits[token] > best[count_ - 1].log_prob && !skips(static_cast<int32_t>(token))) {
      insert({logits[token], static_cast<int32_t>(token)}, best, count_);
    }
  }
}

}  // namespace nmt_trt
