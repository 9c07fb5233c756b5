#include "core/coverage.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nmt_trt {

double coverage(const std::vector<float>& attention, int32_t source) {
  constexpr double kLeast = std::numeric_limits<float>::min();
  const auto width = static_cast<size_t>(source);
  double total = 0;
  for (size_t position = 0; position < width; ++position) {
    double covered = 0;
    for (size_t at = position; at < attention.size(); at += width) covered += attention[at];
    total += std::log(std::clamp(covered, kLeast, 1.0));
  }
  return total;
}

void settle_attention(const SearchOptions& options, size_t sentence, std::vector<Hypothesis>& hypotheses) {
  for (Hypothesis& hypothesis : hypotheses) {
    if (options.coverage_penalty != 0.0F) {
      const double added =
          options.coverage_penalty * coverage(hypothesis.attention, options.source_lengths[sentence]);
      hypothesis.score = static_cast<float>(hypothesis.score + added);
    }
    if (!options.attention) hypothesis.attention.clear();
    if (!options.token_scores) hypothesis.token_scores.clear();
  }
  if (options.coverage_penalty == 0.0F) return;
  if (options.policy != PolicyKind::kSample) {
    std::stable_sort(hypotheses.begin(), hypotheses.end(),
                     [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
  }
  const auto returned = static_cast<size_t>(options.num_hypotheses);
  if (hypotheses.size() > returned) hypotheses.resize(returned);
}

}  // namespace nmt_trt
