// A decoder's weights on the device: from which tensors, in which types, at which places.
#include "generator/native_decoder.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "../support.h"
#include "core/errors.h"
#include "on_fake_device.h"
#include "random_decoder.h"

namespace nmt_trt {
namespace {

using namespace testing;

constexpr Architecture kPostNorm = {2, false, false, true, true, cuda::Activation::kGelu};
constexpr uint16_t kHalf[] = {0x3C00, 0xC100, 0x0001, 0x7BFF};  // fp16: 1, -2.5, the least, the largest
constexpr float kHalfValues[] = {1.0F, -2.5F, 0x1p-24F, 65504.0F};
constexpr uint16_t kBrain[] = {0x3F80, 0xC020, 0x0001, 0x7F7F};  // bf16
constexpr float kBrainValues[] = {1.0F, -2.5F, 0x1p-133F, 0x1.FEp127F};

class NativeDecoderTest : public OnFakeDevice {
 protected:
  /// A post-norm model of two layers in a type of 16 bits, every value of which is one of four.
  static NativeSource low_source(const RandomDecoder& model, DataType type, const uint16_t* values) {
    NativeSource source = model.source();
    source.type = type;
    source.weights = [read = source.weights, values](const std::string& name) {
      std::string bytes = read(name);
      if (is_float32(name)) return bytes;
      std::string low;
      for (size_t i = 0; i < bytes.size() / sizeof(float); ++i) {
        low.append(reinterpret_cast<const char*>(&values[i % 4]), sizeof(uint16_t));
      }
      return low;
    };
    return source;
  }
  static bool is_float32(const std::string& name) {
    const auto ends = [&](const std::string& end) {
      return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
    };
    return ends(".norm.weight") || ends(".norm.bias") || ends(".position.weight") || ends(".out.bias") ||
           name == "output.bias";
  }
};

TEST_F(NativeDecoderTest, BiasesOfSixteenBitsBecomeFloats) {
  const RandomDecoder model(kPostNorm, 1);
  for (const DataType type : {DataType::kFloat16, DataType::kBFloat16}) {
    const bool half = type == DataType::kFloat16;
    const uint16_t* stored = half ? kHalf : kBrain;
    const float* values = half ? kHalfValues : kBrainValues;
    const NativeDecoder decoder(low_source(model, type, stored), model.shape(), nullptr);
    const NativeLayer& layer = decoder.parts().layers.back();
    for (const NativeBlock* block : {&layer.self_attention, &layer.cross_attention, &layer.feed_forward}) {
      for (int32_t i = 0; i < block->in.outputs; ++i) EXPECT_EQ(block->in.bias[i], values[i % 4]);
      EXPECT_EQ(std::memcmp(block->in.weight, stored, sizeof(kHalf)), 0);
      EXPECT_EQ(std::memcmp(block->out.weight, stored, sizeof(kHalf)), 0);
    }
    const std::string bias = model.source().weights("decoder.layers.1.ffn.out.bias");
    EXPECT_EQ(std::memcmp(layer.feed_forward.out.bias, bias.data(), bias.size()), 0);
  }
}

TEST_F(NativeDecoderTest, PlacesAreAligned) {
  const RandomDecoder model({1, true, true, true, false, cuda::Activation::kRelu}, 1);
  const NativeSource source = model.source();
  const NativeDecoder decoder(source, model.shape(), nullptr);
  const NativeParts& parts = decoder.parts();
  const NativeLayer& layer = parts.layers.front();
  std::vector<const void*> places = {parts.embedding.table, parts.embedding.positions,
                                     parts.output.linear.weight, parts.output.linear.bias};
  for (const cuda::Norm& norm : {parts.embedding.norm, parts.final_norm}) {
    places.insert(places.end(), {norm.gain, norm.shift});
  }
  for (const NativeBlock& block : {layer.self_attention, layer.cross_attention, layer.feed_forward}) {
    places.insert(places.end(), {block.norm.gain, block.norm.shift});
    for (const cuda::Linear& linear : {block.in, block.out}) {
      places.insert(places.end(), {linear.weight, linear.bias});
    }
  }
  for (const void* place : places) EXPECT_EQ(reinterpret_cast<uintptr_t>(place) % 256, 0U);
}

TEST_F(NativeDecoderTest, OneTableForTokensAndOutputIsThereOnce) {
  size_t bytes[2];
  for (const bool tied : {false, true}) {
    Architecture architecture = kPostNorm;
    architecture.tied = tied;
    const RandomDecoder model(architecture, 1);
    const NativeSource source = model.source();
    const NativeDecoder decoder(source, model.shape(), nullptr);
    EXPECT_EQ(decoder.parts().output.linear.weight == decoder.parts().embedding.table, tied);
    bytes[tied ? 1 : 0] = decoder.bytes();
    EXPECT_EQ(decoder.bytes(), device().holdings.device_bytes);
  }
  EXPECT_EQ(bytes[0] - bytes[1], 256U);  // 7 rows of 8 numbers take 224 bytes
}

TEST_F(NativeDecoderTest, NormsThatAModelLacksAreNull) {
  Architecture architecture = kPostNorm;
  architecture.embedding_norm = false;
  const RandomDecoder model(architecture, 1);
  const NativeSource source = model.source();
  const NativeDecoder decoder(source, model.shape(), nullptr);
  EXPECT_EQ(decoder.parts().embedding.norm.gain, nullptr);
  EXPECT_EQ(decoder.parts().final_norm.gain, nullptr);
}

TEST_F(NativeDecoderTest, EveryTensorMustFit) {
  const RandomDecoder model({1, true, true, true, false, cuda::Activation::kRelu}, 1);
  std::vector<std::string> names;
  NativeSource source = low_source(model, DataType::kFloat16, kHalf);
  source.weights = [&, read = source.weights](const std::string& name) {
    names.push_back(name);
    return read(name);
  };
  {
    const NativeDecoder decoder(source, model.shape(), nullptr);
  }
  ASSERT_EQ(names.size(), 26U);
  for (const std::string& wrong : std::vector<std::string>(names)) {
    NativeSource damaged = source;
    damaged.weights = [&, read = source.weights](const std::string& name) {
      return name == wrong ? read(name) + "  " : read(name);
    };
    const std::string text = message_of<EngineError>([&] { NativeDecoder(damaged, model.shape(), nullptr); });
    EXPECT_EQ(text.find("the weights are of another model: " + wrong + " has "), 0U) << text;
    EXPECT_NE(text.find(is_float32(wrong) ? ", float32 [" : ", float16 ["), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace nmt_trt
