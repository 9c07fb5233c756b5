#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/policy.h"
#include "core/processors/processor_chain.h"
#include "core/sampler.h"
#include "core/sentence.h"
#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"
#include "cuda/random_scores.h"
#include "cuda/search_logits.h"

namespace nmt_trt {
namespace {

using namespace testing;

size_t size(int64_t count) { return static_cast<size_t>(count); }

/// Tokens that were drawn, and how many of them Sampler draws otherwise: where its place lies so close to the
/// border of two tokens that the last bits of exp() decide.
struct Draws {
  int64_t all = 0;
  int64_t other = 0;
};

/// The CPU's policies, fed with the device's own candidates: everything must then be the same to the last
/// bit.
class Mirror {
 public:
  explicit Mirror(const SearchOptions& options)
      : options_(options),
        policy_(make_policy(options)),
        processors_(options, policy_->processes_logits()),
        no_edits_(options.vocab_size, policy_->processes_logits()),
        sampler_(options, policy_->excluded_token()),
        top_(options.vocab_size, policy_->candidates() + 1, policy_->excluded_token()) {
    for (const int32_t limit : options.max_lengths) {
      sentences_.push_back({sentences_.size(),
                            Beam(options.beam_size, options.eos, options.pad, options.token_scores),
                            FinishedPool(policy_->pool_size()), limit, false});
    }
  }

  // Whether these are the candidates, [R, K, C], of the next step; logits: [B, K, V].
  void check(const std::vector<Candidate>& candidates, const std::vector<float>& logits,
             const std::vector<int32_t>& sentence_of_row) {
    const size_t beam_size = size(options_.beam_size);
    for (size_t row = 0; row < sentence_of_row.size() * beam_size; ++row) {
      const int32_t sentence = sentence_of_row[row / beam_size];
      const size_t k = row % beam_size;
      if (sentence < 0 || !looks_at(size(sentence), k)) continue;
      SCOPED_TRACE("sentence " + std::to_string(sentence) + ", hypothesis " + std::to_string(k));
      const size_t source = steps_ == 0 ? 0 : k;
      check_row(&candidates[row * size(policy_->candidates())],
                &logits[(size(sentence) * beam_size + source) * size(options_.vocab_size)], size(sentence),
                k);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }

  // candidates: [R, K, C]
  void advance(const std::vector<Candidate>& candidates, const std::vector<int32_t>& sentence_of_row) {
    const size_t stride = size(options_.beam_size) * size(policy_->candidates());
    for (size_t row = 0; row < sentence_of_row.size(); ++row) {
      if (sentence_of_row[row] < 0) continue;
      Sentence& sentence = sentences_[size(sentence_of_row[row])];
      const Candidate* top = &candidates[row * stride];
      if (sentence.finished) {
        sentence.beam.idle();
        continue;
      }
      if (steps_ == 0) {
        policy_->start(top, moves_);
      } else {
        policy_->advance(sentence.beam, top, moves_);
      }
      policy_->settle(sentence, moves_);
      sentence.beam.extend(moves_);
    }
    ++steps_;
    update_finished();
  }

  const Draws& draws() const { return draws_; }

  bool done() const {
    return std::all_of(sentences_.begin(), sentences_.end(), [](const Sentence& s) { return s.finished; });
  }

  // The pools of policy hf.
  void compare_pools(const std::vector<std::vector<Hypothesis>>& given) const {
    for (size_t sentence = 0; sentence < sentences_.size(); ++sentence) {
      const auto expected = sentences_[sentence].pool.best(options_.num_hypotheses);
      ASSERT_EQ(given[sentence].size(), expected.size()) << "sentence " << sentence;
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(given[sentence][i].tokens, expected[i].tokens) << sentence << ", " << i;
        ASSERT_EQ(bits_of(given[sentence][i].score), bits_of(expected[i].score)) << sentence << ", " << i;
        ASSERT_EQ(bits_of(given[sentence][i].log_prob), bits_of(expected[i].log_prob))
            << sentence << ", " << i;
        ASSERT_EQ(given[sentence][i].token_scores, expected[i].token_scores) << sentence << ", " << i;
      }
    }
  }

  void compare(const SearchSnapshot& given, const GpuStage& stage,
               const std::vector<int32_t>& sentence_of_row, int32_t capacity) const {
    ASSERT_EQ(given.steps, steps_);
    const auto active = std::count_if(sentences_.begin(), sentences_.end(),
                                      [](const Sentence& sentence) { return !sentence.finished; });
    ASSERT_EQ(given.active(), active);
    for (size_t sentence = 0; sentence < sentences_.size(); ++sentence) {
      ASSERT_EQ(given.finished[sentence] != 0, sentences_[sentence].finished) << sentence;
      for (int32_t k = 0; k < options_.beam_size; ++k) {
        const size_t index = sentence * size(options_.beam_size) + size(k);
        const Slot& slot = sentences_[sentence].beam.slot(k);
        ASSERT_EQ(bits_of(given.slots[index].sum), bits_of(slot.sum)) << sentence << ", " << k;
        ASSERT_EQ(bits_of(given.slots[index].penalty), bits_of(slot.penalty)) << sentence << ", " << k;
        ASSERT_EQ(given.slots[index].words, slot.words) << sentence << ", " << k;
        ASSERT_EQ(given.slots[index].ended, slot.ended) << sentence << ", " << k;
        const auto& ancestry = sentences_[sentence].beam.ancestry(k);
        ASSERT_TRUE(std::equal(ancestry.begin(), ancestry.end(), &given.ancestry[index * size(capacity)]))
            << sentence << ", " << k;
        compare_token_scores(given, sentence, k, capacity);
      }
    }
    compare_inputs(stage, sentence_of_row);
  }

 private:
  bool looks_at(size_t sentence, size_t k) const {
    if (sentences_[sentence].finished) return false;
    if (steps_ == 0) return k == 0 || policy_->samples();
    return policy_->continues(sentences_[sentence].beam.slot(static_cast<int32_t>(k)));
  }

  void compare_token_scores(const SearchSnapshot& given, size_t sentence, int32_t k, int32_t capacity) const {
    if (!options_.token_scores) return;
    const Beam& beam = sentences_[sentence].beam;
    std::vector<float> expected;
    beam.append_scores(k, expected);
    std::vector<float> found;
    for (size_t step = 0; step < beam.ancestry(k).size(); ++step) {
      const size_t column = sentence * size(capacity) + step;
      const float score =
          given.token_scores[column * size(options_.beam_size) + size(beam.ancestry(k)[step])];
      if (!std::isnan(score)) found.push_back(score);
    }
    ASSERT_EQ(found, expected) << sentence << ", " << k;
  }

  // One more candidate than there are, whose score may be close to the last one's.
  void check_row(const Candidate* given, const float* logits, size_t sentence, size_t k) {
    if (const int32_t token = prefix_token(sentence); token != kNoToken)
      return check_only(given, logits, token);
    const double normaliser = top_.normaliser(logits);
    no_edits_.begin(logits, normaliser);
    const ScoreEdits& edits = processors_.empty()
                                  ? no_edits_
                                  : processors_(logits, normaliser, sentences_[sentence].beam,
                                                static_cast<int32_t>(k), options_.max_lengths[sentence]);
    if (policy_->samples()) return check_drawn(*given, logits, edits, sentence, k);
    std::vector<Candidate> expected(size(policy_->candidates()) + 1);
    top_(logits, normaliser, edits, expected.data());
    for (size_t begin = 0, end; begin + 1 < expected.size(); begin = end) {
      for (end = begin + 1; end < expected.size() && near(expected[end - 1], expected[end]); ++end) {
      }
      const bool sure = is_order_sure(&expected[begin], &expected[0] + end, logits, edits);
      for (size_t i = begin; i < std::min(end, expected.size() - 1); ++i) {
        ASSERT_TRUE(near(given[i], expected[i]))
            << given[i].log_prob << ", not " << expected[i].log_prob << " at rank " << i;
        if (sure) {
          ASSERT_EQ(given[i].token, expected[i].token) << "rank " << i;
        }
      }
    }
  }

  void check_drawn(const Candidate& given, const float* logits, const ScoreEdits& edits, size_t sentence,
                   size_t k) {
    const auto& numbers = options_.sentence_numbers;
    const uint64_t number = numbers.empty() ? sentence : numbers[sentence];
    const int32_t token = sampler_(logits, edits, {number, static_cast<int32_t>(k), steps_});
    ++draws_.all;
    if (token == Sampler::kNone) {
      ASSERT_EQ(given.log_prob, ScoreEdits::kBanned);
      return;
    }
    draws_.other += given.token != token ? 1 : 0;
    ASSERT_GT(edits.log_prob(given.token), ScoreEdits::kBanned);
    ASSERT_TRUE(near(given, {edits.log_prob(given.token), given.token})) << given.log_prob;
  }

  int32_t prefix_token(size_t sentence) const {
    if (options_.target_prefix.empty()) return kNoToken;
    const auto& prefix = options_.target_prefix[sentence];
    return size(steps_) < prefix.size() ? prefix[size(steps_)] : kNoToken;
  }

  void check_only(const Candidate* given, const float* logits, int32_t token) {
    std::vector<Candidate> expected(size(policy_->candidates()) + 1);
    top_.only(logits, token, expected.data());
    for (size_t i = 0; i + 1 < expected.size(); ++i) {
      ASSERT_TRUE(near(given[i], expected[i])) << given[i].log_prob << ", not " << expected[i].log_prob;
      ASSERT_EQ(given[i].token, expected[i].token) << "rank " << i;
    }
  }

  static bool near(const Candidate& a, const Candidate& b) {
    return a.log_prob == b.log_prob ||
           std::abs(a.log_prob - b.log_prob) <= 1e-5F * std::max(1.0F, std::abs(b.log_prob));
  }

  // Whether rounding cannot change the order of candidates whose scores are near: logits as they are keep
  // it, and so do equal ones that the same was done to.
  static bool is_order_sure(const Candidate* begin, const Candidate* end, const float* logits,
                            const ScoreEdits& edits) {
    for (const Candidate* one = begin; one != end; ++one) {
      const bool edited = edits.has(one->token);
      if (edited != edits.has(begin->token)) return false;
      if (edited && logits[one->token] != logits[begin->token]) return false;
    }
    return true;
  }

  void update_finished() {
    bool all = true;
    for (Sentence& sentence : sentences_) {
      sentence.finished = sentence.finished || policy_->finished(sentence);
      all = all && sentence.finished;
    }
    if (!policy_->ends_together()) return;
    for (Sentence& sentence : sentences_) sentence.finished = all;
  }

  void compare_inputs(const GpuStage& stage, const std::vector<int32_t>& sentence_of_row) const {
    const auto token = stage.token.values();
    ASSERT_EQ(stage.position.values()[0], std::min(steps_, stage.inputs.max_position));
    for (size_t row = 0; row < sentence_of_row.size(); ++row) {
      const int32_t sentence = sentence_of_row[row];
      if (sentence < 0 || sentences_[size(sentence)].finished) continue;
      for (int32_t k = 0; k < options_.beam_size; ++k) {
        ASSERT_EQ(token[row * size(options_.beam_size) + size(k)],
                  sentences_[size(sentence)].beam.last_token(k));
      }
    }
  }

  SearchOptions options_;
  std::unique_ptr<Policy> policy_;
  ProcessorChain processors_;
  ScoreEdits no_edits_;
  Sampler sampler_;
  Draws draws_;
  TopLogProbs top_;
  std::vector<Sentence> sentences_;
  std::vector<Move> moves_;
  int32_t steps_ = 0;
};

class DevicePolicy : public CudaTest {};

Draws run(Random& random, const RandomSearch& plan) {
  constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16};
  const DataType type = kTypes[random.integer(0, 2)];
  const int32_t slots = plan.options.beam_size * plan.capacity;
  GpuSearch gpu(plan.options, static_cast<int32_t>(plan.sentence_of_row.size()), plan.capacity);
  GpuStage stage(plan.options, plan.sentence_of_row, slots);
  Mirror cpu(plan.options);
  gpu.start(stage);
  while (!cpu.done()) {
    bool settled = true;
    const StepLogits logits = draw_logits(random, plan.options, gpu.snapshot(), type, false, settled);
    const auto rows =
        rows_of(logits.values, plan.sentence_of_row, plan.options.beam_size * plan.options.vocab_size);
    gpu.step(stage, encode(rows, type), type);
    const auto candidates = stage.candidates.values();
    cpu.check(candidates, logits.values, plan.sentence_of_row);
    cpu.advance(candidates, plan.sentence_of_row);
    const SearchSnapshot after = gpu.snapshot();
    cpu.compare(after, stage, plan.sentence_of_row, plan.capacity);
    if (plan.options.policy == PolicyKind::kHf) cpu.compare_pools(gpu.pooled(after));
    if (::testing::Test::HasFatalFailure()) break;
  }
  return cpu.draws();
}

template <typename Draw>
Draws run_many(Draw draw) {
  Draws draws;
  const int32_t seeds = seed_count(200);
  for (int32_t seed = 0; seed < seeds && !::testing::Test::HasFatalFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(static_cast<uint64_t>(seed) + 1000000);
    RandomSearch plan = draw(random);
    plan.options.token_scores = seed % 2 == 0;
    const Draws more = run(random, plan);
    draws.all += more.all;
    draws.other += more.other;
  }
  return draws;
}

TEST_F(DevicePolicy, IsTheCpusToTheLastBit) {
  run_many([](Random& random) { return random_search(random, {PolicyKind::kGnmt, PolicyKind::kNemo}); });
}

TEST_F(DevicePolicy, HfIsTheCpusToTheLastBit) {
  run_many([](Random& random) { return random_search(random, {PolicyKind::kHf}); });
}

TEST_F(DevicePolicy, HfWaitsAsPatientlyAsTheCpu) {
  run_many([](Random& random) {
    RandomSearch plan = random_search(random, {PolicyKind::kHf});
    plan.options.beam_size = std::max(plan.options.beam_size, 2);
    plan.options.patience = random.with_probability(0.5F) ? 1.0F + 3.0F * random.unit() : 8.0F;
    plan.options.num_hypotheses = 1;
    return plan;
  });
}

// A divisor of the beam size, which is made to have one.
void draw_groups(Random& random, SearchOptions& options) {
  options.beam_groups = random.integer(2, 8);
  options.beam_size = options.beam_groups * random.integer(1, 32 / options.beam_groups);
  options.num_hypotheses = options.beam_size;
  options.diversity_penalty = random.with_probability(0.2F) ? 0.0F : 3.0F * random.unit();
}

TEST_F(DevicePolicy, GroupsDifferAsOnTheCpu) {
  run_many([](Random& random) {
    RandomSearch plan = random_search(random, {PolicyKind::kGnmt});
    draw_groups(random, plan.options);
    if (random.with_probability(0.3F)) draw_scores(random, plan.options);
    if (random.with_probability(0.3F)) draw_prefixes(random, plan.options);
    return plan;
  });
}

TEST_F(DevicePolicy, DrawsAsTheCpuDoes) {
  const Draws draws = run_many([](Random& random) {
    RandomSearch plan = random_search(random, {PolicyKind::kSample});
    SearchOptions& options = plan.options;
    if (random.with_probability(0.5F)) options.sampling_temperature = 0.2F + 3.0F * random.unit();
    if (random.with_probability(0.5F)) options.sampling_topk = random.integer(1, options.vocab_size);
    if (random.with_probability(0.5F)) options.sampling_topp = 0.01F + 0.98F * random.unit();
    options.seed = random.bits();
    for (size_t i = 0; i < options.max_lengths.size(); ++i) options.sentence_numbers.push_back(random.bits());
    if (random.with_probability(0.4F)) draw_scores(random, options);
    if (random.with_probability(0.3F)) draw_prefixes(random, options);
    return plan;
  });
  EXPECT_GT(draws.all, 10 * seed_count(200));
  EXPECT_LE(draws.other, draws.all / 2000);
}

TEST_F(DevicePolicy, ChangesScoresAsTheCpuDoes) {
  run_many([](Random& random) {
    RandomSearch plan = random_search(random, {PolicyKind::kGnmt, PolicyKind::kHf});
    draw_scores(random, plan.options);
    if (random.with_probability(0.5F)) draw_prefixes(random, plan.options);
    return plan;
  });
}

// A search whose histories are long, the score of every token in them being changed.
RandomSearch long_search(Random& random, PolicyKind policy, int32_t beam_size, int32_t capacity) {
  RandomSearch plan = {
      search_options(policy, beam_size, 700, {capacity, capacity / 2}, 0.6F), capacity, {1, 0}};
  plan.options.min_length = capacity - 1;
  while (plan.options.bad_words.size() < 600) {
    plan.options.bad_words.push_back({random.integer(0, 699), random.integer(0, 699)});
  }
  return plan;
}

// More tokens in a history and more bad words than a block has threads.
TEST_F(DevicePolicy, ChangesScoresBehindLongHistories) {
  for (const PolicyKind policy : {PolicyKind::kGnmt, PolicyKind::kHf}) {
    Random random(9);
    RandomSearch plan = long_search(random, policy, 3, 300);
    plan.options.repetition_penalty = 1.1F;
    plan.options.no_repeat_ngram = 2;
    run(random, plan);
    if (HasFatalFailure()) break;
  }
}

// Most candidates are tokens seen before, whose scores rise, and there are more than a warp has lanes.
TEST_F(DevicePolicy, PutsManyEditedTokensIntoLongLists) {
  Random random(10);
  RandomSearch plan = long_search(random, PolicyKind::kHf, 20, 60);
  plan.options.repetition_penalty = 0.5F;
  run(random, plan);
}

// More steps than one part of the ancestry in shared memory has room for, beams crossing at every one of
// them.
TEST_F(DevicePolicy, FollowsLongAncestries) {
  Random random(7);
  SearchOptions options;
  options.beam_size = 32;
  options.num_hypotheses = 32;
  options.vocab_size = 64;
  options.eos = 0;
  options.pad = 1;
  options.bos = 2;
  constexpr int32_t kCapacity = 300;
  options.max_lengths = {kCapacity};
  GpuSearch gpu(options, 1, kCapacity);
  GpuStage stage(options, {0}, options.beam_size * kCapacity);
  Mirror cpu(options);
  gpu.start(stage);
  for (int32_t step = 0; step < kCapacity; ++step) {
    std::vector<float> logits(size(options.beam_size) * size(options.vocab_size));
    for (float& logit : logits) logit = random.bell();
    for (size_t row = 0; row < size(options.beam_size); ++row)
      logits[row * size(options.vocab_size)] = -100.0F;
    gpu.step(stage, encode(logits, DataType::kFloat32), DataType::kFloat32);
    cpu.advance(stage.candidates.values(), {0});
    // Past the second part's beginning; each comparison takes the host a while.
    if (step > 250 || step % 50 == 0) cpu.compare(gpu.snapshot(), stage, {0}, kCapacity);
    ASSERT_FALSE(HasFatalFailure()) << "step " << step;
  }
  EXPECT_TRUE(cpu.done());
}

}  // namespace
}  // namespace nmt_trt
