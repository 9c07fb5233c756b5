#include "cuda/random_scores.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace nmt_trt::testing {
namespace {

// One that policy gnmt may be made to generate.
int32_t forced_token(Random& random, const SearchOptions& options) {
  const int32_t token = random.integer(0, options.vocab_size - 1);
  return token == options.pad ? options.eos : token;
}

}  // namespace

void draw_scores(Random& random, SearchOptions& options) {
  const auto chance = [&random] { return random.with_probability(0.5F); };
  const bool alone = chance();
  const int32_t only = random.integer(0, 7);
  const auto wants = [&](int32_t option) { return alone ? option == only : chance(); };
  const auto any_token = [&] { return random.integer(0, options.vocab_size - 1); };
  if (wants(0)) options.min_length = random.integer(0, 12);
  if (wants(1)) options.repetition_penalty = chance() ? 1.0F + random.unit() : 0.2F + random.unit();
  if (wants(2)) options.no_repeat_ngram = random.integer(1, 4);
  if (wants(3)) options.forced_bos = forced_token(random, options);
  if (wants(4)) options.forced_eos = chance() ? options.eos : forced_token(random, options);
  for (int32_t words = wants(5) ? random.integer(1, 40) : 0; words > 0; --words) {
    std::vector<int32_t> word;
    for (int32_t length = random.integer(1, 3); length > 0; --length) word.push_back(any_token());
    options.bad_words.push_back(word);
  }
  for (int32_t tokens = wants(6) ? random.integer(1, 5) : 0; tokens > 0; --tokens) {
    const int32_t token = any_token();
    if (token != options.forced_bos && token != options.forced_eos) options.suppress_tokens.push_back(token);
  }
  if (!wants(7)) return;
  options.allowed_tokens = {options.eos};
  for (int32_t tokens = random.integer(1, options.vocab_size); tokens > 0; --tokens) {
    options.allowed_tokens.push_back(any_token());
  }
  for (const int32_t token : {options.forced_bos, options.forced_eos}) {
    if (token != kNoToken) options.allowed_tokens.push_back(token);
  }
}

void draw_prefixes(Random& random, SearchOptions& options) {
  for (const int32_t limit : options.max_lengths) {
    std::vector<int32_t> prefix;
    for (int32_t length = random.integer(0, std::min(limit, 5)); length > 0; --length) {
      const int32_t token = random.integer(0, options.vocab_size - 1);
      if (token != options.pad && token != options.eos) prefix.push_back(token);
    }
    if (static_cast<int32_t>(prefix.size()) < limit && random.with_probability(0.2F))
      prefix.push_back(options.eos);
    options.target_prefix.push_back(std::move(prefix));
  }
}

}  // namespace nmt_trt::testing
