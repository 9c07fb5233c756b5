#include "cuda/kernels/beam_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/policy.h"
#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"

namespace nmt_trt {
namespace {

using namespace testing;
using cuda::BeamRules;
using cuda::BeamSlot;
using cuda::Proposal;

constexpr int32_t kSteps = 12;

struct Ranked {
  uint32_t key;
  int32_t parent;
  uint32_t tie;
  Proposal proposal;
};

// What the kernel does: every proposal, the K first ones, each settled in its slot; with hf the C first ones.
std::vector<Move> extend(const BeamRules& rules, const std::vector<BeamSlot>& old,
                         const std::vector<Candidate>& top, bool first_step) {
  const auto beam_size = static_cast<int32_t>(old.size());
  std::vector<Move> moves;
  const auto add = [&moves](int32_t parent, int32_t token, const BeamSlot& slot) {
    moves.push_back({parent, token, Slot{slot.sum, slot.penalty, slot.words, slot.ended}});
  };
  if (first_step && rules.policy == PolicyKind::kNemo) {
    for (int32_t k = 0; k < beam_size; ++k) {
      const Proposal first = rules.first_of_nemo(top[static_cast<size_t>(k)]);
      add(k, first.token, first.slot);
    }
    return moves;
  }
  std::vector<Ranked> ranked;
  const auto count = static_cast<int32_t>(top.size()) / beam_size;
  for (int32_t parent = 0; parent < (first_step ? rules.roots(beam_size) : beam_size); ++parent) {
    const BeamSlot slot = first_step ? BeamRules::root(parent) : old[static_cast<size_t>(parent)];
    for (int32_t i = 0; i < count; ++i) {
      const int32_t place = first_step ? i : parent * count + i;
      const Proposal proposal = rules.propose(slot, top[static_cast<size_t>(place)], i);
      const uint32_t key = BeamRules::rank_key(proposal);
      if (key != 0) ranked.push_back({key, parent, rules.tie_rank(proposal.token, i), proposal});
    }
  }
  std::sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
    if (a.key != b.key) return a.key > b.key;
    return a.parent != b.parent ? a.parent < b.parent : a.tie < b.tie;
  });
  if (rules.policy == PolicyKind::kHf) {
    ranked.resize(std::min(ranked.size(), static_cast<size_t>(count)));
    for (const Ranked& one : ranked) add(one.parent, one.proposal.token, one.proposal.slot);
    return moves;
  }
  for (int32_t k = 0; k < beam_size; ++k) {
    const auto index = static_cast<size_t>(k);
    if (index < ranked.size()) {
      add(ranked[index].parent, ranked[index].proposal.token,
          rules.settle(ranked[index].proposal, old[index].penalty));
    } else {
      add(k, rules.pad, BeamRules::dead());
    }
  }
  return moves;
}

void expect_same_moves(const std::vector<Move>& given, const std::vector<Move>& expected, bool parents) {
  ASSERT_EQ(given.size(), expected.size());
  for (size_t k = 0; k < given.size(); ++k) {
    if (parents) {
      ASSERT_EQ(given[k].parent, expected[k].parent) << "slot " << k;
    }
    ASSERT_EQ(given[k].token, expected[k].token) << "slot " << k;
    ASSERT_EQ(bits_of(given[k].slot.sum), bits_of(expected[k].slot.sum)) << "slot " << k;
    ASSERT_EQ(bits_of(given[k].slot.penalty), bits_of(expected[k].slot.penalty)) << "slot " << k;
    ASSERT_EQ(given[k].slot.words, expected[k].slot.words) << "slot " << k;
    ASSERT_EQ(given[k].slot.ended, expected[k].slot.ended) << "slot " << k;
  }
}

// Candidates as top_log_probs makes them, of few different values so that many scores are equal.
std::vector<Candidate> random_top(Random& random, const SearchOptions& options, int32_t count) {
  std::vector<Candidate> top;
  for (int32_t parent = 0; parent < options.beam_size; ++parent) {
    const bool coarse = random.with_probability(0.5F);
    std::vector<Candidate> all;
    for (int32_t token = 0; token < options.vocab_size; ++token) {
      if (options.policy == PolicyKind::kGnmt && token == options.pad) continue;
      const float log_prob =
          coarse ? -0.5F * static_cast<float>(random.integer(1, 4)) : -5.0F * random.unit();
      const bool missing = token > 0 && random.with_probability(0.2F);
      if (!missing) all.push_back({token == options.eos ? 0.5F * log_prob : log_prob, token});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Candidate& a, const Candidate& b) { return a.log_prob > b.log_prob; });
    all.resize(static_cast<size_t>(count), {-std::numeric_limits<float>::infinity(), 0});
    top.insert(top.end(), all.begin(), all.end());
  }
  return top;
}

void compare_with_policy(uint64_t seed, PolicyKind kind) {
  Random random(seed);
  SearchOptions options;
  options.policy = kind;
  options.beam_size = random.integer(0, 9) == 0 ? 32 : random.integer(1, 8);
  options.vocab_size = random.integer(kind == PolicyKind::kNemo ? std::max(2, options.beam_size) : 2, 40);
  options.eos = random.integer(0, options.vocab_size - 1);
  options.pad = (options.eos + random.integer(1, options.vocab_size - 1)) % options.vocab_size;
  options.bos = random.integer(0, options.vocab_size - 1);
  const float alphas[] = {0.0F, 0.6F, 1.0F, random.unit()};
  options.length_penalty = alphas[random.integer(0, 3)];
  options.max_lengths = {kSteps};
  validate(options);

  const auto penalties = penalty_table(options, kSteps);
  const BeamRules rules = rules_of(options, penalties);
  const auto policy = make_policy(options);
  Sentence sentence = {0, Beam(options.beam_size, options.eos, options.pad),
                       FinishedPool(policy->pool_size()), kSteps, false};
  std::vector<Move> expected;
  for (int32_t step = 0; step < kSteps; ++step) {
    std::vector<BeamSlot> old;
    for (int32_t k = 0; k < options.beam_size; ++k) {
      const Slot& slot = sentence.beam.slot(k);
      old.push_back({slot.sum, slot.penalty, slot.words, slot.ended});
    }
    const auto top = random_top(random, options, policy->candidates());
    if (step == 0) {
      policy->start(top.data(), expected);
    } else {
      policy->advance(sentence.beam, top.data(), expected);
    }
    SCOPED_TRACE("seed " + std::to_string(seed) + ", step " + std::to_string(step));
    expect_same_moves(extend(rules, old, top, step == 0), expected, step > 0);
    if (::testing::Test::HasFatalFailure()) return;
    policy->settle(sentence, expected);
    sentence.beam.extend(expected);
  }
}

TEST(BeamRules, AreThoseOfGnmtPolicy) {
  for (uint64_t seed = 0; seed < 2000 && !HasFatalFailure(); ++seed)
    compare_with_policy(seed, PolicyKind::kGnmt);
}

TEST(BeamRules, AreThoseOfNemoPolicy) {
  for (uint64_t seed = 0; seed < 2000 && !HasFatalFailure(); ++seed)
    compare_with_policy(seed, PolicyKind::kNemo);
}

TEST(BeamRules, AreThoseOfHfPolicy) {
  for (uint64_t seed = 0; seed < 2000 && !HasFatalFailure(); ++seed)
    compare_with_policy(seed, PolicyKind::kHf);
}

TEST(OrderKey, OrdersAsLessDoes) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float rising[] = {-infinity, -3e38F, -1.0F, -1e-45F, 0.0F, 1e-45F, 0.5F, 1.0F, 3e38F, infinity};
  for (size_t i = 0; i < std::size(rising); ++i) {
    EXPECT_EQ(bits_of(cuda::value_of_key(cuda::order_key(rising[i]))), bits_of(rising[i]));
    if (i > 0) {
      EXPECT_LT(cuda::order_key(rising[i - 1]), cuda::order_key(rising[i])) << rising[i];
    }
  }
  EXPECT_EQ(cuda::order_key(-0.0F), cuda::order_key(0.0F));
  EXPECT_EQ(cuda::order_key(-infinity), cuda::kLowestKey);
}

}  // namespace
}  // namespace nmt_trt
