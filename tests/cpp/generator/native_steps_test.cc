// A decoder step on kernels of ours, which are stand-ins here, against the model's description.
#include "generator/native_steps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "fake_device.h"
#include "on_fake_device.h"
#include "random_decoder.h"

namespace nmt_trt {
namespace {

using namespace testing;

constexpr int32_t kRows = 3;
constexpr int32_t kHidden = RandomDecoder::kHidden;

void expect_rows(const void* found, const Rows& wanted, const std::vector<float>& powers,
                 const std::string& what) {
  const auto* value = static_cast<const float*>(found);
  for (const Row& row : wanted) {
    const size_t part = row.size() / powers.size();
    for (size_t i = 0; i < row.size(); ++i) {
      const double given = static_cast<double>(*value++) * powers[i / part];
      ASSERT_NEAR(given, row[i], 1e-4 * std::max(1.0, std::abs(row[i]))) << what << ", column " << i;
    }
  }
}

class NativeStepsTest : public OnFakeDevice {
 protected:
  void SetUp() override { device().restart(Pace::kAtOnce); }

  /// Attention as it may be: `out` gets it as a tensor of this power of two has it.
  Rows attend(void* out, float power) {
    std::normal_distribution<double> normal;
    auto* value = static_cast<float*>(out);
    Rows rows(kRows, Row(kHidden));
    for (Row& row : rows) {
      for (double& component : row) {
        *value++ = static_cast<float>(component = normal(random_)) / power;
      }
    }
    return rows;
  }

  /// One step, everything compared on the way.
  void check_step(NativeSteps& steps, const RandomDecoder& model, const std::vector<int32_t>& tokens,
                  int32_t position) {
    ReferenceStep reference(model, tokens, position);
    steps.embed(tokens.data(), &position, nullptr);
    for (int32_t layer = 0; layer < model.architecture().layers; ++layer) {
      const std::string name = "decoder.layers." + std::to_string(layer);
      const std::string self = name + ".self_attention";
      const std::string cross = name + ".cross_attention";
      device().finish();
      expect_rows(steps.qkv(), reference.enter(self, self + ".qkv"),
                  {model.power(self + ".q"), model.power(self + ".k"), model.power(self + ".v")}, self);
      reference.leave(self, attend(steps.attention(), model.power(self + ".v")));
      steps.run(2 * layer + 1, nullptr);
      device().finish();
      expect_rows(steps.query(), reference.enter(cross, cross + ".q"), {model.power(cross + ".q")}, cross);
      reference.leave(cross, attend(steps.attention(), model.power(cross + ".v")));
      steps.run(2 * layer + 2, nullptr);
      reference.feed_forward(name + ".ffn");
    }
    device().finish();
    expect_rows(steps.logits(), reference.logits(), {1.0F}, "logits");
  }

  std::mt19937 random_{3};
};

TEST_F(NativeStepsTest, GiveWhatTheModelDoes) {
  constexpr cuda::Activation kActivations[] = {cuda::Activation::kRelu, cuda::Activation::kGelu,
                                               cuda::Activation::kSwish};
  for (uint32_t kind = 0; kind < 48; ++kind) {
    const Architecture architecture = {static_cast<int32_t>(1 + kind % 3),
                                       (kind & 1U) != 0,
                                       (kind & 2U) != 0,
                                       (kind & 4U) != 0,
                                       (kind & 8U) != 0,
                                       kActivations[kind / 16]};
    SCOPED_TRACE(kind);
    const RandomDecoder model(architecture, kind);
    const NativeSource source = model.source();
    const NativeDecoder decoder(source, model.shape(), nullptr);
    NativeSteps steps(kRows, model.shape(), source, decoder, nullptr);
    EXPECT_EQ(steps.bytes(), NativeSteps::bytes_needed(kRows, model.shape(), source));
    EXPECT_EQ(steps.bytes() + decoder.bytes(), device().holdings.device_bytes);
    check_step(steps, model, {4, 0, 6}, 2);
    check_step(steps, model, {1, 6, 6}, 3);
  }
}

TEST_F(NativeStepsTest, OneLaunchForEachLinearLayerAndTheEmbedding) {
  for (const bool pre_norm : {true, false}) {
    for (const bool final_norm : {true, false}) {
      for (const int32_t layers : {1, 4}) {
        const RandomDecoder model({layers, pre_norm, final_norm, true, true, cuda::Activation::kRelu}, 1);
        const NativeSource source = model.source();
        const NativeDecoder decoder(source, model.shape(), nullptr);
        NativeSteps steps(kRows, model.shape(), source, decoder, nullptr);
        device().called.clear();
        check_step(steps, model, {1, 2, 3}, 0);
        // Of two norms behind the last block one is a launch of its own.
        EXPECT_EQ(device().called["launch"], 6 * layers + 2 + (final_norm && !pre_norm ? 1 : 0));
      }
    }
  }
}

TEST_F(NativeStepsTest, AttentionBeginsWithNumbers) {
  const RandomDecoder model({1, true, true, true, true, cuda::Activation::kRelu}, 1);
  const NativeSource source = model.source();
  const NativeDecoder decoder(source, model.shape(), nullptr);
  const NativeSteps steps(kRows, model.shape(), source, decoder, nullptr);
  const auto* first = static_cast<const float*>(steps.attention());
  EXPECT_TRUE(std::all_of(first, first + kRows * kHidden, [](float value) { return std::isfinite(value); }));
}

}  // namespace
}  // namespace nmt_trt
