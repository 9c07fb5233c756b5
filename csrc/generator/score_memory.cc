#include "generator/score_memory.h"

#include <algorithm>
#include <vector>

#include "core/policy.h"
#include "cuda/check.h"
#include "cuda/token_mask.h"
#include "generator/layout.h"
#include "generator/send_to_device.h"

namespace nmt_trt {
namespace {

size_t size(int64_t count) { return static_cast<size_t>(count); }

/// Bad words whose last token depends on those before it.
template <typename Call>
void for_long_words(const SearchOptions& options, Call call) {
  for (const auto& word : options.bad_words) {
    if (word.size() > 1) call(word);
  }
}

int32_t longest_prefix(const SearchOptions& options) {
  size_t longest = 0;
  for (const auto& prefix : options.target_prefix) longest = std::max(longest, prefix.size());
  return static_cast<int32_t>(longest);
}

}  // namespace

bool changes_scores(const SearchOptions& options) {
  return options.min_length > 0 || options.repetition_penalty != 1.0F || options.no_repeat_ngram > 0 ||
         options.forced_bos != kNoToken || options.forced_eos != kNoToken || !options.bad_words.empty() ||
         !options.suppress_tokens.empty() || !options.allowed_tokens.empty() || longest_prefix(options) > 0;
}

ScoreMemory::ScoreMemory(const ModelShape& shape, int32_t sentences, int32_t beam_size, int32_t capacity,
                         cudaStream_t stream)
    : capacity_(capacity),
      host_rules_(1),
      host_banned_(size(cuda::TokenMask::size(shape.vocab_size))),
      host_prefixes_(size(sentences) * size(capacity)) {
  const size_t mask = host_banned_.size();
  const size_t beams = size(sentences) * size(beam_size);
  Layout layout;
  const size_t rules = layout.add<cuda::ScoreRules>(1);
  const size_t banned = layout.add<uint32_t>(mask);
  const size_t prefixes = layout.add<int32_t>(host_prefixes_.size());
  const size_t edited = layout.add<uint32_t>(beams * mask);
  const size_t penalised = layout.add<int32_t>(beams * (size(capacity) + 1));
  const size_t penalised_count = layout.add<int32_t>(beams);
  memory_ = cuda::DeviceBuffer(layout.bytes());
  NMT_TRT_CUDA(cudaMemsetAsync(memory_.data(), 0, memory_.bytes(), stream));
  state_.rules = at<cuda::ScoreRules>(memory_, rules);
  state_.banned = at<uint32_t>(memory_, banned);
  state_.prefixes = at<int32_t>(memory_, prefixes);
  state_.edited = at<uint32_t>(memory_, edited);
  state_.penalised = at<int32_t>(memory_, penalised);
  state_.penalised_count = at<int32_t>(memory_, penalised_count);
}

void ScoreMemory::reserve(const SearchOptions& options) {
  size_t needed = 0;
  for_long_words(options, [&](const std::vector<int32_t>& word) { needed += 1 + word.size(); });
  if (needed <= host_words_.size()) return;
  const size_t room = std::max(needed, 2 * host_words_.size());
  host_words_ = {};
  words_ = {};
  words_ = cuda::DeviceBuffer(room * sizeof(int32_t));
  host_words_ = cuda::Pinned<int32_t>(room);
}

// Bad words of one token are banned always, except EOS.
void ScoreMemory::upload(const SearchOptions& options, cudaStream_t stream) {
  const auto ban = [this](int32_t token) {
    host_banned_[cuda::TokenMask::place(token)] |= cuda::TokenMask::bit(token);
  };
  std::fill(host_banned_.begin(), host_banned_.end(), 0U);
  for (const int32_t token : never_generated(options)) ban(token);
  for (const auto& word : options.bad_words) {
    if (word.size() == 1 && word[0] != options.eos) ban(word[0]);
  }
  write_rules(options);
  send_to_device(state_.rules, host_rules_, stream);
  send_to_device(state_.banned, host_banned_, stream);
  if (host_rules_[0].prefix_steps > 0) {
    write_prefixes(options);
    send_to_device(state_.prefixes, host_prefixes_, stream);
  }
  if (host_words_.size() > 0) {
    send_to_device(static_cast<const int32_t*>(words_.data()), host_words_, stream);
  }
}

void ScoreMemory::write_prefixes(const SearchOptions& options) {
  std::fill(host_prefixes_.begin(), host_prefixes_.end(), kNoToken);
  for (size_t sentence = 0; sentence < options.target_prefix.size(); ++sentence) {
    const auto& prefix = options.target_prefix[sentence];
    std::copy(prefix.begin(), prefix.end(), host_prefixes_.begin() + sentence * size(capacity_));
  }
}

void ScoreMemory::write_rules(const SearchOptions& options) {
  int32_t words = 0;
  for_long_words(options, [&](const std::vector<int32_t>&) { ++words; });
  int32_t* end = host_words_.data();
  int32_t* const tokens = end + words;
  int32_t* next = tokens;
  for_long_words(options, [&](const std::vector<int32_t>& word) {
    next = std::copy(word.begin(), word.end(), next);
    *end++ = static_cast<int32_t>(next - tokens);
  });
  const auto* device = static_cast<const int32_t*>(words_.data());
  host_rules_[0] = {options.bos,
                    make_policy(options)->processes_logits(),
                    options.min_length,
                    options.repetition_penalty,
                    options.no_repeat_ngram,
                    options.forced_bos,
                    options.forced_eos,
                    words,
                    device,
                    device + words,
                    longest_prefix(options)};
}

}  // namespace nmt_trt
