#include "cuda/search_logits.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/top_log_probs.h"

namespace nmt_trt::testing {
namespace {

size_t size(int64_t count) { return static_cast<size_t>(count); }

constexpr int32_t kMostDraws = 30;
constexpr float kNearly = 1e-5F;

/// One sentence at one step.
struct Scene {
  const SearchOptions& options;
  const cuda::BeamSlot* slots;  // [K]
  bool first_step;

  bool looks_at(int32_t k) const {
    if (first_step) return k == 0;
    return options.policy == PolicyKind::kNemo || !slots[k].ended;
  }
};

struct Ranked {
  cuda::Proposal proposal;
  cuda::BeamSlot parent;
  int32_t origin;
  float logit;  // NaN for a hypothesis that stays as it is
};

bool equal_on_any_machine(const Ranked& a, const Ranked& b) {
  const bool same_parent = a.parent.sum == b.parent.sum && a.parent.penalty == b.parent.penalty &&
                           a.parent.ended == b.parent.ended &&
                           a.proposal.slot.penalty == b.proposal.slot.penalty;
  const bool both_stay = std::isnan(a.logit) && std::isnan(b.logit);
  return same_parent && (both_stay || (a.origin == b.origin && a.logit == b.logit));
}

std::vector<Ranked> rank(const Scene& scene, const cuda::BeamRules& rules, const float* logits,
                         const int32_t* origin) {
  const int32_t beam_size = scene.options.beam_size;
  const bool excludes = scene.options.policy == PolicyKind::kGnmt;
  TopLogProbs top(scene.options.vocab_size, beam_size, excludes ? scene.options.pad : TopLogProbs::kNone);
  std::vector<Candidate> best(size(beam_size), Candidate{0, 0});
  std::vector<Ranked> ranked;
  for (int32_t k = 0; k < (scene.first_step ? 1 : beam_size); ++k) {
    const cuda::BeamSlot parent = scene.first_step ? cuda::BeamRules::root(0) : scene.slots[k];
    const float* row = logits + size(k) * size(scene.options.vocab_size);
    if (scene.looks_at(k)) top(row, best.data());
    for (int32_t i = 0; i < beam_size; ++i) {
      const cuda::Proposal proposal = rules.propose(parent, best[size(i)], i);
      const float logit =
          scene.looks_at(k) ? row[best[size(i)].token] : std::numeric_limits<float>::quiet_NaN();
      if (proposal.exists) ranked.push_back({proposal, parent, origin[k], logit});
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Ranked& a, const Ranked& b) { return a.proposal.score() > b.proposal.score(); });
  return ranked;
}

bool has_near_ties(const Scene& scene, const float* logits, const int32_t* origin) {
  if (scene.first_step && scene.options.policy == PolicyKind::kNemo) return false;
  const auto penalties = penalty_table(scene.options, scene.options.max_lengths[0] + 24);
  const auto ranked = rank(scene, rules_of(scene.options, penalties), logits, origin);
  const size_t last = std::min(ranked.size(), size(scene.options.beam_size) + 1);
  for (size_t i = 1; i < last; ++i) {
    const float high = ranked[i - 1].proposal.score();
    const float low = ranked[i].proposal.score();
    if (std::isinf(low) || equal_on_any_machine(ranked[i - 1], ranked[i])) continue;
    if (high - low <= kNearly * std::max(1.0F, std::abs(high))) return true;
  }
  return false;
}

void draw(Random& random, const Scene& scene, DataType type, float* logits, int32_t* origin) {
  const size_t vocab_size = size(scene.options.vocab_size);
  for (int32_t k = 0; k < scene.options.beam_size; ++k) {
    origin[k] = k;
    if (!scene.looks_at(k)) continue;
    float* row = logits + size(k) * vocab_size;
    const bool copies = k > 0 && scene.options.policy == PolicyKind::kGnmt && random.with_probability(0.3F);
    const int32_t other = copies ? random.integer(0, k - 1) : k;
    if (scene.looks_at(other) && other != k) {
      origin[k] = origin[other];
      std::copy_n(logits + size(other) * vocab_size, vocab_size, row);
      continue;
    }
    const auto drawn = random_row(random, scene.options);
    std::transform(drawn.begin(), drawn.end(), row, [type](float logit) { return rounded(logit, type); });
  }
}

}  // namespace

StepLogits draw_logits(Random& random, const SearchOptions& options, const SearchSnapshot& before,
                       DataType type, bool ranked, bool& settled) {
  const size_t beams = options.max_lengths.size() * size(options.beam_size);
  const size_t sentence_size = size(options.beam_size) * size(options.vocab_size);
  StepLogits logits{
      std::vector<float>(beams * size(options.vocab_size), std::numeric_limits<float>::quiet_NaN()),
      std::vector<int32_t>(beams)};
  for (size_t sentence = 0; sentence < options.max_lengths.size(); ++sentence) {
    if (before.finished[sentence] != 0) continue;
    const size_t first = sentence * size(options.beam_size);
    const Scene scene = {options, &before.slots[first], before.steps == 0};
    float* values = &logits.values[sentence * sentence_size];
    int32_t* origin = &logits.origin[first];
    int32_t draws = 0;
    do {
      draw(random, scene, type, values, origin);
    } while (ranked && ++draws < kMostDraws && has_near_ties(scene, values, origin));
    if (draws == kMostDraws) settled = false;
  }
  return logits;
}

std::vector<float> rows_of(const std::vector<float>& by_sentence, const std::vector<int32_t>& sentence_of_row,
                           int32_t row_size) {
  std::vector<float> rows(sentence_of_row.size() * size(row_size), std::numeric_limits<float>::quiet_NaN());
  for (size_t row = 0; row < sentence_of_row.size(); ++row) {
    if (sentence_of_row[row] < 0) continue;
    std::copy_n(&by_sentence[size(sentence_of_row[row]) * size(row_size)], size(row_size),
                &rows[row * size(row_size)]);
  }
  return rows;
}

}  // namespace nmt_trt::testing
