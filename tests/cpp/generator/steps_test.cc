// What a decoder step costs: one launch of one graph, and how many nodes that has.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "scene.h"
#include "toy_model.h"

namespace nmt_trt {
namespace {

using namespace testing;

/// Steps; all fit into the first cache.
constexpr int32_t kFew = 4;
constexpr int32_t kMany = 29;

/// Of a search on the fake device: candidates and beams.
constexpr size_t kSearchNodes = 2;

/// What a decoder's part of a step is: 2L + 1 segments, each one node here, and 2L attentions between them.
size_t decoder_nodes(int32_t layers) { return 4 * static_cast<size_t>(layers) + 1; }

/// The same on kernels of ours, on a GPU with few rows too: the embedding, of each layer six linear layers
/// and two attentions, and the logits.
size_t native_nodes(int32_t layers) { return 8 * static_cast<size_t>(layers) + 2; }

struct Case {
  std::string name;
  PolicyKind policy;
  std::function<void(SearchOptions&)> change;
  /// Nodes beyond those of a step without options.
  size_t more;
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

void change_scores(SearchOptions& options) {
  options.min_length = 3;
  options.repetition_penalty = 1.2F;
  options.no_repeat_ngram = 2;
  options.bad_words = {{4, 6}, {5}};
}

std::vector<Case> cases() {
  const auto nothing = [](SearchOptions&) {};
  std::vector<Case> all;
  const std::map<std::string, PolicyKind> policies = {{"gnmt", PolicyKind::kGnmt},
                                                      {"nemo", PolicyKind::kNemo},
                                                      {"hf", PolicyKind::kHf},
                                                      {"sample", PolicyKind::kSample}};
  for (const auto& [name, policy] : policies) {
    all.push_back({name, policy, nothing, 0});
    all.push_back(
        {name + "_token_scores", policy, [](SearchOptions& options) { options.token_scores = true; }, 0});
    all.push_back({name + "_attention", policy, [](SearchOptions& options) { options.attention = true; }, 1});
    if (policy == PolicyKind::kNemo) continue;
    all.push_back({name + "_scores", policy, change_scores, 1});
    all.push_back({name + "_everything", policy,
                   [](SearchOptions& options) {
                     change_scores(options);
                     options.attention = options.token_scores = true;
                     options.coverage_penalty = 0.5F;
                     options.target_prefix.assign(options.max_lengths.size(), {5, 7});
                   },
                   2});
  }
  all.push_back({"diverse", PolicyKind::kGnmt,
                 [](SearchOptions& options) {
                   options.beam_groups = 2;
                   options.diversity_penalty = 0.5F;
                 },
                 0});
  all.push_back({"sample_filters", PolicyKind::kSample,
                 [](SearchOptions& options) {
                   options.sampling_topk = 5;
                   options.sampling_topp = 0.9F;
                 },
                 0});
  return all;
}

class StepsTest : public OnFakeDevice, public ::testing::WithParamInterface<Case> {
 protected:
  // Everything is done at once, so that the host never has to ask whether it is.
  void SetUp() override { device().restart(Pace::kAtOnce); }

  static Batch batch_of(int32_t steps) {
    Wish wish;
    wish.ends = ends_at(500, 3);
    wish.policy = GetParam().policy;
    wish.beam_size = 4;
    wish.max_length = steps;
    Batch batch = make_batch(wish);
    GetParam().change(batch.options);
    return batch;
  }
  /// How often a batch of so many steps calls each function.
  static std::map<std::string, int32_t> calls(Generator& generator, int32_t steps) {
    device().called.clear();
    take_steps();
    generate(generator, batch_of(steps));
    EXPECT_EQ(take_steps().size(), static_cast<size_t>(steps));
    return device().called;
  }
  /// Of a step in a generator for these models.
  static cuda::NodeCounts nodes(const std::vector<FakePlan>& plans) {
    ToyGenerator generator(plans);
    generate(generator, batch_of(kFew));
    const std::vector<StepGraph> graphs = generator.step_graphs();
    EXPECT_EQ(graphs.size(), 1U);
    return graphs.front().nodes;
  }
  static FakePlan plan_of(int32_t number, int32_t layers) {
    FakePlan plan;
    plan.model = {number, layers};
    return plan;
  }
};

TEST_P(StepsTest, IsOneLaunchAndNothingElse) {
  ToyGenerator generator;
  generate(generator, batch_of(kMany));  // everything that is made once has been made
  const auto few = calls(generator, kFew);
  std::map<std::string, int32_t> per_step = calls(generator, kMany);
  for (const auto& [name, count] : few) per_step[name] -= count;
  for (auto call = per_step.begin(); call != per_step.end();) {
    call = call->second == 0 ? per_step.erase(call) : std::next(call);
  }
  EXPECT_EQ(per_step, (std::map<std::string, int32_t>{{"cudaGraphLaunch", kMany - kFew}}));
}

TEST_P(StepsTest, HasSoManyNodes) {
  for (const int32_t layers : {1, 2}) {
    const cuda::NodeCounts found = nodes({plan_of(0, layers)});
    EXPECT_EQ(found.kernels, decoder_nodes(layers) + kSearchNodes + GetParam().more) << layers << " layers";
    EXPECT_EQ(found.total(), found.kernels);
  }
}

TEST_P(StepsTest, HasSoManyNodesOfOurs) {
  for (const bool pre_norm : {true, false}) {
    FakePlan plan = plan_of(0, 2);
    plan.native = FakeDecoder{pre_norm};
    const cuda::NodeCounts found = nodes({plan});
    EXPECT_EQ(found.kernels, native_nodes(2) + kSearchNodes + GetParam().more);
    EXPECT_EQ(found.total(), found.kernels);
  }
}

TEST_P(StepsTest, HasThoseOfEachModelAndTheirMean) {
  const cuda::NodeCounts found = nodes({plan_of(0, 2), plan_of(1, 1)});
  EXPECT_EQ(found.kernels, decoder_nodes(2) + decoder_nodes(1) + 1 + kSearchNodes + GetParam().more);
  EXPECT_EQ(found.total(), found.kernels);
}

INSTANTIATE_TEST_SUITE_P(Options, StepsTest, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

class StepGraphsTest : public OnFakeDevice {};

TEST_F(StepGraphsTest, AreToldByTheirShapesTheOneUsedLastFirst) {
  ToyGenerator generator;
  EXPECT_TRUE(generator.step_graphs().empty());
  Wish wish;
  wish.ends = ends_at(500, 3);
  wish.max_length = 40;
  generate(generator, make_batch(wish));
  const std::vector<StepGraph> graphs = generator.step_graphs();
  ASSERT_EQ(graphs.size(), 2U);
  EXPECT_EQ(graphs[0].key, (StageKey{4, 16, 2, 64}));
  EXPECT_EQ(graphs[1].key, (StageKey{4, 16, 2, 32}));
  EXPECT_EQ(graphs[0].nodes.total(), graphs[1].nodes.total());
  // Keys and values of 32 more steps of each hypothesis.
  const size_t more = size_t{2} * toy::kLayers * 4 * 2 * 32 * toy::kHidden * sizeof(float);
  EXPECT_EQ(graphs[0].bytes - graphs[1].bytes, more);
  wish.max_length = 20;
  generate(generator, make_batch(wish));
  EXPECT_EQ(generator.step_graphs().front().key, graphs[1].key);
}

}  // namespace
}  // namespace nmt_trt
