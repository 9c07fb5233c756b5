#include "core/processors/processor_chain.h"

#include <algorithm>

#include "core/processors/bad_words.h"
#include "core/processors/forced_tokens.h"
#include "core/processors/min_length.h"
#include "core/processors/no_repeat_ngram.h"
#include "core/processors/repetition_penalty.h"

namespace nmt_trt {
namespace {

using Processors = std::vector<std::unique_ptr<LogitsProcessor>>;

Processors make_processors(const SearchOptions& options) {
  Processors made;
  if (options.repetition_penalty != 1.0F) {
    made.push_back(std::make_unique<RepetitionPenalty>(options.repetition_penalty));
  }
  if (options.no_repeat_ngram > 0) made.push_back(std::make_unique<NoRepeatNgram>(options.no_repeat_ngram));
  if (!options.bad_words.empty()) {
    made.push_back(std::make_unique<BadWords>(options.bad_words, options.eos));
  }
  if (options.min_length > 0) made.push_back(std::make_unique<MinLength>(options.min_length, options.eos));
  if (options.forced_bos != kNoToken) made.push_back(std::make_unique<ForcedBos>(options.forced_bos));
  if (options.forced_eos != kNoToken) made.push_back(std::make_unique<ForcedEos>(options.forced_eos));
  return made;
}

}  // namespace

bool History::ends_with(const int32_t* sequence, size_t length) const {
  return length <= size && std::equal(sequence, sequence + length, tokens + (size - length));
}

ProcessorChain::ProcessorChain(const SearchOptions& options, bool of_logits)
    : processors_(make_processors(options)), edits_(0, of_logits), tokens_{options.bos} {
  const std::vector<int32_t> never = never_generated(options);
  idle_ = processors_.empty() && never.empty();
  if (!idle_ || options.policy == PolicyKind::kSample)
    edits_ = ScoreEdits(options.vocab_size, of_logits, never);
}

const ScoreEdits& ProcessorChain::operator()(const float* logits, double normaliser, const Beam& beam,
                                             int32_t k, int32_t max_length) {
  tokens_.resize(1);
  beam.append_tokens(k, tokens_);
  edits_.begin(logits, normaliser);
  const History history = {tokens_.data(), tokens_.size(), max_length};
  for (const auto& processor : processors_) processor->apply(history, edits_);
  return edits_;
}

}  // namespace nmt_trt
