// Searches over fixed logits, whose instructions tools/count_instructions.py counts.
//
//   nmt_trt_searches          prints what the counts depend on beside the code, then the names of the cases
//   nmt_trt_searches CASE     runs one; run_search() is what counts
#include <gnu/libc-version.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/average_log_probs.h"
#include "core/beam_search.h"

namespace nmt_trt::testing {
namespace {

constexpr int32_t kPad = 0;
constexpr int32_t kBos = 1;
constexpr int32_t kEos = 2;
constexpr int32_t kVocabulary = 8000;  // no multiple of kBlock
constexpr int32_t kSentences = 4;
constexpr int32_t kBeam = 4;
constexpr int32_t kSource = 20;
constexpr int32_t kSteps = 16;

/// Numbers of a linear congruential generator, the same everywhere and without the C library.
class Uniform {
 public:
  /// From 0 to 1.
  float operator()() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<float>(state_ >> 40U) * 0x1p-24F;
  }

 private:
  uint64_t state_ = 1;
};

/// What a model would give: at each step [sentences * K, kVocabulary], or part of that for a smaller
/// vocabulary, now and then with EOS as the best token; and the same attention [sentences * K, source] at all
/// steps.
struct Made {
  std::vector<std::vector<float>> logits;
  std::vector<float> attention;

  Made() : logits(kSteps + 1), attention(kSentences * kBeam * kSource, 1.0F / kSource) {
    Uniform uniform;
    for (auto& step : logits) {
      step.resize(size_t{kSentences} * kBeam * kVocabulary);
      for (float& logit : step) logit = 4.0F * (uniform() + uniform() + uniform() + uniform() - 2.0F);
      for (size_t row = 0; row < kSentences * kBeam; ++row) {
        if (uniform() < 0.1F) step[row * kVocabulary + kEos] = 9.0F;
      }
    }
  }
};

struct Case {
  PolicyKind policy;
  std::function<void(SearchOptions&)> change;
  int32_t models = 1;
  int32_t vocabulary = kVocabulary;
};

void change_scores(SearchOptions& options) {
  options.min_length = 5;
  options.repetition_penalty = 1.2F;
  options.no_repeat_ngram = 2;
  options.bad_words = {{4, 6}, {9, 3, 4}, {17}};
  options.suppress_tokens = {5, 11, 40};
}

void keep_everything(SearchOptions& options) {
  options.token_scores = options.attention = true;
  options.coverage_penalty = 0.5F;
  options.source_lengths.assign(kSentences, kSource);
}

std::map<std::string, Case> cases() {
  const auto nothing = [](SearchOptions&) {};
  std::map<std::string, Case> all;
  all["gnmt"] = {PolicyKind::kGnmt, nothing};
  all["nemo"] = {PolicyKind::kNemo, nothing};
  all["hf"] = {PolicyKind::kHf, nothing};
  all["sample"] = {PolicyKind::kSample, nothing};
  all["ensemble"] = {PolicyKind::kGnmt, nothing, 2};
  all["gnmt_scores"] = {PolicyKind::kGnmt, change_scores};
  all["hf_scores"] = {PolicyKind::kHf, change_scores};
  all["gnmt_kept"] = {PolicyKind::kGnmt, keep_everything};
  all["hf_kept"] = {PolicyKind::kHf, keep_everything};
  all["gnmt_diverse"] = {PolicyKind::kGnmt, [](SearchOptions& options) {
                           options.beam_groups = 2;
                           options.diversity_penalty = 0.5F;
                         }};
  all["gnmt_prefix"] = {PolicyKind::kGnmt, [](SearchOptions& options) {
                          options.target_prefix.assign(kSentences, {7, 8, 9, 10, 11});
                        }};
  // Where the beams are more of the work than the vocabulary.
  constexpr int32_t kSmall = 100;
  all["gnmt_small"] = {PolicyKind::kGnmt, nothing, 1, kSmall};
  all["nemo_small"] = {PolicyKind::kNemo, nothing, 1, kSmall};
  all["hf_small"] = {PolicyKind::kHf, nothing, 1, kSmall};
  all["hf_small_kept"] = {PolicyKind::kHf, keep_everything, 1, kSmall};
  all["sample_small"] = {PolicyKind::kSample, nothing, 1, kSmall};
  all["hf_patience"] = {PolicyKind::kHf, [](SearchOptions& options) { options.patience = 2.0F; }};
  all["sample_filters"] = {PolicyKind::kSample, [](SearchOptions& options) {
                             options.sampling_topk = 50;
                             options.sampling_topp = 0.9F;
                             options.sampling_temperature = 0.8F;
                           }};
  return all;
}

SearchOptions options_of(const Case& one) {
  SearchOptions options;
  options.policy = one.policy;
  options.beam_size = kBeam;
  options.num_hypotheses = kBeam;
  options.length_penalty = 0.6F;
  options.eos = kEos;
  options.pad = kPad;
  options.bos = kBos;
  options.vocab_size = one.vocabulary;
  options.max_lengths.assign(kSentences, kSteps);
  one.change(options);
  return options;
}

/// The logits of a step; of an ensemble the mean of each model's, which are those of the steps from it on.
const float* logits_of(const Made& made, int32_t step, const Case& one, std::vector<float>& average) {
  const std::vector<float>* first = &made.logits[static_cast<size_t>(step)];
  if (one.models == 1) return first->data();
  std::vector<const float*> models;
  for (int32_t model = 0; model < one.models; ++model) models.push_back(first[model].data());
  const size_t rows = size_t{kSentences} * (step == 0 ? 1 : kBeam);
  average_log_probs(models, rows, static_cast<size_t>(one.vocabulary), average.data());
  return average.data();
}

}  // namespace

/// A whole search as the CPU's backend makes it; the number of tokens generated.
__attribute__((noinline)) size_t run_search(const Case& one, const SearchOptions& options, const Made& made,
                                            std::vector<float>& average, std::vector<float>& bias) {
  BeamSearch search(options);
  std::vector<int32_t> tokens(size_t{kSentences} * kBeam);
  const SourceAttention attention = {made.attention.data(), kSource};
  search.start(logits_of(made, 0, one, average), attention);
  while (!search.done()) {
    if (search.finished_rows() > 0) search.compact();
    search.tokens(tokens.data());
    search.write_self_bias(bias.data(), kBeam * (kSteps + 1), search.leaks() ? kBeam : 1, nullptr);
    search.advance(logits_of(made, search.steps(), one, average), attention);
  }
  size_t generated = 0;
  for (const auto& sentence : search.results()) {
    for (const Hypothesis& hypothesis : sentence) generated += hypothesis.tokens.size();
  }
  return generated;
}

namespace {

/// The widest vectors that this CPU, or what stands for it, has for the core's kernels.
const char* vectors() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return "x86-64 with AVX-512";
  if (__builtin_cpu_supports("avx2")) return "x86-64 with AVX2";
  return "x86-64";
#else
  return "another CPU";
#endif
}

#if defined(__clang__)
constexpr const char* kCompiler = __VERSION__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

#if defined(__OPTIMIZE__) && defined(NDEBUG)
constexpr const char* kBuild = "release";
#else
constexpr const char* kBuild = "debug";
#endif

int main_with(const std::vector<std::string>& arguments) {
  const auto all = cases();
  if (arguments.empty()) {
    std::printf("%s, glibc %s, %s, %s\n", kCompiler, gnu_get_libc_version(), vectors(), kBuild);
    for (const auto& [name, one] : all) std::printf("%s\n", name.c_str());
    return 0;
  }
  const auto found = all.find(arguments.front());
  if (found == all.end()) {
    std::fprintf(stderr, "expected the name of a case, given '%s'\n", arguments.front().c_str());
    return 2;
  }
  const Made made;
  std::vector<float> average(made.logits.front().size());
  std::vector<float> bias(size_t{kSentences} * kBeam * kBeam * (kSteps + 1));
  const Case& one = found->second;
  const size_t generated = run_search(one, options_of(one), made, average, bias);
  std::printf("%zu tokens\n", generated);
  return 0;
}

}  // namespace
}  // namespace nmt_trt::testing

int main(int count, char** arguments) {
  return nmt_trt::testing::main_with({arguments + 1, arguments + count});
}
