#include "generator/plans.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "../support.h"
#include "core/errors.h"
#include "scene.h"

namespace nmt_trt {
namespace {

using namespace testing;

class PlansTest : public OnFakeDevice {
 protected:
  /// The complaint about this plan in place of that of its graph; then the right one must be taken.
  std::string complaint(const FakePlan& wrong) {
    bool give_wrong = true;
    std::vector<std::string> asked;
    ToyGenerator generator([&](const std::string& graph) {
      asked.push_back(graph);
      return graph == wrong.graph && give_wrong ? written(wrong) : plans_like({})(graph);
    });
    Wish wish;
    wish.ends = {5, 9};
    const Batch batch = make_batch(wish);
    const std::string text = message_of<EngineError>([&] { generate(generator, batch); });
    give_wrong = false;
    EXPECT_TRUE(translates(generator, batch));
    EXPECT_EQ(std::count(asked.begin(), asked.end(), wrong.graph), 2);
    EXPECT_EQ(asked.size(), 8U) << "each of the others once";
    return text;
  }

  static FakePlan plan_of(const std::string& graph) {
    FakePlan plan;
    plan.graph = graph;
    return plan;
  }
};

TEST_F(PlansTest, OtherNumberOfHeads) {
  FakePlan plan = plan_of("encoder_1");
  plan.heads = 4;
  EXPECT_EQ(complaint(plan),
            "the plan of 'encoder_1' is of another model: attention is float32 [-1, 8] and should be float32 "
            "[-1, 4]");
  plan.graph = "decoder_2";
  EXPECT_EQ(complaint(plan),
            "the plan of 'decoder_2' is of another model: attention is float32 [-1, 8] and should be float32 "
            "[-1, 4]");
}

TEST_F(PlansTest, OtherType) {
  FakePlan plan = plan_of("encoder_0");
  plan.type = DataType::kFloat16;
  EXPECT_EQ(
      complaint(plan),
      "the plan of 'encoder_0' is of another model: qkv is float16 [-1, 12] and should be float32 [-1, 12]");
  plan.graph = "decoder_1";
  EXPECT_EQ(complaint(plan),
            "the plan of 'decoder_1' is of another model: attention is float16 [-1, 4] and should be float32 "
            "[-1, 4]");
}

TEST_F(PlansTest, OtherWidth) {
  FakePlan plan = plan_of("decoder_0");
  plan.head_size = 3;
  EXPECT_EQ(complaint(plan),
            "the plan of 'decoder_0' is of another model: residual_out is float32 [-1, 6] and should be "
            "float32 [-1, 4]");
}

TEST_F(PlansTest, OtherVocabulary) {
  FakePlan plan = plan_of("decoder_4");
  plan.vocab_size = 17;
  EXPECT_EQ(complaint(plan),
            "the plan of 'decoder_4' is of another model: logits is float32 [-1, 17] and should be [-1, 16]");
}

TEST_F(PlansTest, OtherGraph) {
  ToyGenerator generator(
      [](const std::string& graph) { return plans_like({})(graph == "decoder_1" ? "decoder_2" : graph); });
  Wish wish;
  wish.ends = {5};
  EXPECT_EQ(message_of<EngineError>([&] { generate(generator, make_batch(wish)); }),
            "the plan of 'decoder_1' has no tensor 'query': it was built from another graph");
}

TEST_F(PlansTest, AreLoadedWhenTheyAreFirstNeeded) {
  std::vector<std::string> asked;
  ToyGenerator generator([&](const std::string& graph) {
    asked.push_back(graph);
    return plans_like({})(graph);
  });
  EXPECT_TRUE(asked.empty());
  EXPECT_EQ(generator.max_batch(2), 64);
  EXPECT_EQ(asked, (std::vector<std::string>{"decoder_0"}));
  Wish wish;
  wish.ends = {5, 40};
  EXPECT_TRUE(translates(generator, make_batch(wish)));
  EXPECT_TRUE(translates(generator, make_batch(wish)));
  EXPECT_EQ(asked.size(), 7U);
}

}  // namespace
}  // namespace nmt_trt
