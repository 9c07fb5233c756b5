#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/engine.h"
#include "cuda/attention.h"
#include "cuda/exact_attention.h"
#include "cuda/gpu.h"
#include "cuda/search.h"

namespace nmt_trt::testing {

/// A batch amid its search. All its numbers follow from what they belong to: the name of a sentence, a step
/// or a position, a hypothesis; not from the row, the batch or the room that there is.
struct AttentionScene {
  enum Kind { kQuery, kKey, kValue, kSourceKey, kSourceValue, kParent };

  DataType type = DataType::kFloat16;
  int32_t beam_size = 4;
  cuda::HeadShape shape = {2, 64, 0.125F};
  int32_t slots = 64;
  int32_t capacity = 32;
  int32_t source = 24;
  /// The name of each row's sentence, -1 for padding.
  std::vector<int32_t> rows = {0, 1};
  /// Source positions in use, for the sentences by name.
  std::vector<int32_t> lengths = {24, 1, 17, 9};
  /// Names of finished sentences.
  std::vector<int32_t> finished = {};
  /// After step 0, hypothesis k is what would otherwise be hypothesis k - turned.
  int32_t turned = 0;

  int32_t hidden() const { return shape.heads * shape.head_size; }
  bool lives(int32_t name) const {
    return name >= 0 && std::find(finished.begin(), finished.end(), name) == finished.end();
  }
  /// [hidden], each in -2 ... 2 and rounded to `type`. `place` is a step, or a position of the source (with k
  /// = 0).
  std::vector<float> numbers(Kind kind, int32_t name, int32_t place, int32_t k) const;
  /// The slots of hypothesis k at each of `steps` steps, the newest being k.
  std::vector<int32_t> ancestry(int32_t name, int32_t steps, int32_t k) const;
};

/// [hidden], of hypothesis k at a step, straight from the definition.
std::vector<ExactElement> exact_self_attention(const AttentionScene& scene, int32_t name, int32_t step,
                                               int32_t k);
std::vector<ExactElement> exact_cross_attention(const AttentionScene& scene, int32_t name, int32_t step,
                                                int32_t k);

/// [lengths[name]], likewise.
std::vector<double> exact_cross_weights(const AttentionScene& scene, int32_t name, int32_t step, int32_t k);

/// A scene on the device. Whatever it does not use is NaN.
class AttentionStage {
 public:
  explicit AttentionStage(const AttentionScene& scene);

  /// Puts the step counter, the ancestry and the hypotheses' queries, keys and values in place, and wipes
  /// `out`. With `only`, all hypotheses but that one get NaN.
  void prepare(int32_t step, int32_t only = -1);
  /// The cache as the steps before `steps` leave it.
  void fill_cache(int32_t steps);
  void launch_self(cudaStream_t stream = nullptr);
  void launch_cross(cudaStream_t stream = nullptr);

  /// prepare(), launch and out().
  std::vector<std::byte> self(int32_t step, int32_t only = -1);
  std::vector<std::byte> cross(int32_t step, int32_t only = -1);
  /// What is recorded of cross-attention at a step, into NaN: [R, steps, K, source], there being room for so
  /// many sentences and steps.
  std::vector<float> record(int32_t step, const cuda::AttentionRecord& room);
  /// The place of hypothesis k of a row in that.
  size_t recorded_at(size_t row, int32_t step, int32_t k, const cuda::AttentionRecord& room) const;
  std::vector<std::byte> out() const { return out_.values(); }
  /// Keys, then values.
  std::vector<std::byte> cache() const;
  std::vector<std::byte> expected_cache(int32_t steps) const;

 private:
  std::vector<std::byte> newest(const std::vector<AttentionScene::Kind>& kinds, int32_t step,
                                int32_t only) const;
  std::vector<std::byte> source(AttentionScene::Kind kind) const;
  std::vector<std::byte> cache_of(AttentionScene::Kind kind, int32_t steps) const;
  /// [R, heads, room, head_size]; at(name, position): [hidden], or nothing for what is not used.
  template <typename At>
  std::vector<std::byte> by_heads(int32_t room, At at) const;
  size_t sentence_of(size_t row) const { return scene_.rows.size() - 1 - row; }
  cuda::SearchState state() const;
  cuda::StepInputs inputs() const;

  AttentionScene scene_;
  DeviceArray<int32_t> steps_, sentence_, lengths_, ancestry_;
  DeviceArray<uint8_t> finished_;
  DeviceArray<std::byte> qkv_, query_, cache_k_, cache_v_, cross_k_, cross_v_, out_;
};

/// The bytes of a row of `out`.
std::vector<std::byte> out_row(const AttentionScene& scene, const std::vector<std::byte>& out, size_t row);
/// The bytes of one hypothesis.
std::vector<std::byte> out_of(const AttentionScene& scene, const std::vector<std::byte>& out, size_t row,
                              int32_t k);

}  // namespace nmt_trt::testing
