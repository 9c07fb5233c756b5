#include "cuda/random_logits.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>

namespace nmt_trt::testing {
namespace {

// Logits of a whole search at most: what a test of many searches has time for.
constexpr int64_t kMostLogits = 1500000;

int32_t random_beam_size(Random& random) {
  const int32_t draw = random.integer(0, 19);
  if (draw == 0) return 32;
  if (draw == 1) return 16;
  return random.integer(1, 8);
}

int32_t random_vocab_size(Random& random) {
  switch (random.integer(0, 3)) {
    case 0:
      return random.integer(2, 12);
    case 1:
      return random.integer(13, 1100);
    case 2:
      return random.integer(1101, 9000);
    default:
      return random.integer(9001, 70000);
  }
}

void choose_tokens(Random& random, SearchOptions& options) {
  const int32_t last = options.vocab_size - 1;
  options.eos = random.integer(0, last);
  do {
    options.pad = random.integer(0, last);
  } while (options.pad == options.eos);
  options.bos = random.integer(0, 4) == 0 ? options.pad : random.integer(0, last);
}

}  // namespace

// splitmix64
uint64_t Random::bits() {
  state_ += 0x9E3779B97F4A7C15U;
  uint64_t z = state_;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

int32_t Random::integer(int32_t low, int32_t high) {
  const auto choices = static_cast<uint64_t>(int64_t{high} - low + 1);
  return static_cast<int32_t>(low + static_cast<int64_t>(bits() % choices));
}

RandomSearch random_search(Random& random, const std::vector<PolicyKind>& policies) {
  RandomSearch search;
  SearchOptions& options = search.options;
  options.policy =
      policies[static_cast<size_t>(random.integer(0, static_cast<int32_t>(policies.size()) - 1))];
  options.beam_size = random_beam_size(random);
  options.vocab_size = random_vocab_size(random);
  if (options.policy == PolicyKind::kNemo)
    options.beam_size = std::min(options.beam_size, options.vocab_size);
  options.num_hypotheses = options.beam_size;
  const float penalties[] = {0.0F, 0.6F, 1.0F, 2.0F * random.unit()};
  options.length_penalty = penalties[random.integer(0, 3)];
  if (options.policy == PolicyKind::kHf) {
    constexpr EarlyStopping kStops[] = {EarlyStopping::kNo, EarlyStopping::kYes, EarlyStopping::kNever};
    options.early_stopping = kStops[random.integer(0, 2)];
    if (random.integer(0, 3) == 0) options.length_penalty = -random.unit();
  }
  choose_tokens(random, options);

  const int64_t logits_a_step = int64_t{options.beam_size} * options.vocab_size;
  const int32_t sentences =
      random.integer(1, static_cast<int32_t>(std::clamp<int64_t>(kMostLogits / (4 * logits_a_step), 1, 9)));
  const int64_t most_steps = std::clamp<int64_t>(kMostLogits / (logits_a_step * sentences), 3, 24);
  search.capacity = random.integer(1, static_cast<int32_t>(most_steps));
  for (int32_t i = 0; i < sentences; ++i) {
    const bool together = options.policy == PolicyKind::kNemo;
    options.max_lengths.push_back(together ? search.capacity : random.integer(1, search.capacity));
    search.sentence_of_row.push_back(i);
  }
  for (int32_t padding = random.integer(0, 2); padding > 0; --padding) search.sentence_of_row.push_back(-1);
  for (size_t i = search.sentence_of_row.size(); i > 1; --i) {
    const auto other = static_cast<size_t>(random.integer(0, static_cast<int32_t>(i) - 1));
    std::swap(search.sentence_of_row[i - 1], search.sentence_of_row[other]);
  }
  return search;
}

std::vector<float> random_row(Random& random, const SearchOptions& options) {
  std::vector<float> row(static_cast<size_t>(options.vocab_size));
  const float scale = random.with_probability(0.1F) ? 30.0F : 3.0F;
  const float shift = 10.0F * random.bell();
  for (float& logit : row) logit = shift + scale * random.bell();
  const int32_t last = options.vocab_size - 1;
  const auto pick = [&]() -> float& { return row[static_cast<size_t>(random.integer(0, last))]; };
  const float largest = *std::max_element(row.begin(), row.end());
  if (random.with_probability(0.4F)) {
    for (int32_t i = random.integer(1, 6); i > 0; --i) pick() = largest;
  }
  if (random.with_probability(0.3F)) {
    for (int32_t i = random.integer(1, 2 * options.vocab_size); i > 0; --i) {
      pick() = -std::numeric_limits<float>::infinity();
    }
  }
  if (random.with_probability(0.25F)) row[static_cast<size_t>(options.eos)] = largest + scale * random.unit();
  if (random.with_probability(0.1F)) row[static_cast<size_t>(options.pad)] = largest + scale * random.unit();
  if (std::none_of(row.begin(), row.end(), [](float logit) { return std::isfinite(logit); })) pick() = shift;
  return row;
}

int32_t seed_count(int32_t usual) {
  const char* count = std::getenv("NMT_TRT_TEST_SEEDS");
  if (count != nullptr) return std::max(1, std::stoi(count));
  const char* all = std::getenv("NMT_TRT_TEST_ALL");
  return all != nullptr && std::string(all) == "1" ? 5 * usual : usual;
}

}  // namespace nmt_trt::testing
