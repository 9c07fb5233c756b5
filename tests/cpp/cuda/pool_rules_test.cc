#include "cuda/kernels/pool_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/finished_pool.h"
#include "core/policy.h"
#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"

namespace nmt_trt {
namespace {

using namespace testing;
using cuda::Pool;
using cuda::PoolPlace;
using cuda::PoolRules;

// Few different scores, so that many are equal.
float random_score(Random& random) {
  return random.with_probability(0.1F) ? FinishedPool::kAway - 64.0F * random.unit()
                                       : -0.5F * static_cast<float>(random.integer(1, 12));
}

// The first hypothesis with one more token, and then this sum.
Move continued(int32_t token, float sum) { return {0, token, Slot{sum, 1.0F, 0, false}, 0.0F}; }

TEST(PoolRules, PoolsAreFinishedPools) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const int32_t size = random.integer(1, 8);
    FinishedPool expected(size);
    std::vector<PoolPlace> places(static_cast<size_t>(size));
    Pool pool = {places.data(), size, 0};
    const Beam beam(1, 1, 2);
    for (int32_t token = 3; token < 40; ++token) {
      const float score = random_score(random);
      expected.offer(score, continued(token, -1.0F), beam);
      pool.offer({score, -1.0F, 0, 0, token, -1.0F});
      ASSERT_EQ(pool.full(), expected.full());
      ASSERT_EQ(bits_of(pool.worst()), bits_of(expected.worst()));
      const auto best = expected.best(size);
      ASSERT_EQ(pool.count, static_cast<int32_t>(best.size()));
      for (size_t i = 0; i < best.size(); ++i) {
        ASSERT_EQ(best[i].tokens, std::vector<int32_t>{places[i].token});
        ASSERT_EQ(bits_of(best[i].score), bits_of(places[i].score));
      }
    }
  }
}

// A sentence whose beam has one sum and whose pool has some scores.
struct Case {
  SearchOptions options;
  float sum;
  int32_t length;
  std::vector<float> scores;
};

Case random_case(Random& random) {
  Case drawn;
  drawn.options = search_options(PolicyKind::kHf, random.integer(2, 4), 10, {random.integer(1, 12)}, 0.0F);
  constexpr EarlyStopping kStops[] = {EarlyStopping::kNo, EarlyStopping::kYes, EarlyStopping::kNever};
  drawn.options.early_stopping = kStops[random.integer(0, 2)];
  drawn.options.length_penalty = 0.5F * static_cast<float>(random.integer(-2, 4));
  drawn.sum = random_score(random);
  drawn.length = random.integer(1, drawn.options.max_lengths[0]);
  for (int32_t i = random.integer(0, 5); i > 0; --i) drawn.scores.push_back(random_score(random));
  return drawn;
}

bool expected_to_be_done(const Case& drawn) {
  const SearchOptions& options = drawn.options;
  Sentence sentence = {0, Beam(options.beam_size, options.eos, options.pad),
                       FinishedPool(pool_places(options)), options.max_lengths[0], false};
  for (const float score : drawn.scores) sentence.pool.offer(score, continued(5, score), sentence.beam);
  const std::vector<Move> moves(static_cast<size_t>(options.beam_size), continued(5, drawn.sum));
  for (int32_t step = 0; step < drawn.length; ++step) sentence.beam.extend(moves);
  return make_policy(options)->finished(sentence);
}

TEST(PoolRules, EndSentencesAsHfPolicyDoes) {
  for (uint64_t seed = 0; seed < 5000; ++seed) {
    Random random(seed);
    const Case drawn = random_case(random);
    const SearchOptions& options = drawn.options;
    const auto penalties = penalty_table(options, options.max_lengths[0]);
    const PoolRules rules = {PoolMemory::stop_rules(options), options.eos, options.max_lengths[0],
                             penalties.data()};
    std::vector<PoolPlace> places(static_cast<size_t>(pool_places(options)));
    Pool pool = {places.data(), rules.stop.places, 0};
    for (const float score : drawn.scores) pool.offer({score, score, 0, 0, 5, score});
    ASSERT_EQ(rules.done(pool, drawn.sum, drawn.length), expected_to_be_done(drawn)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace nmt_trt
