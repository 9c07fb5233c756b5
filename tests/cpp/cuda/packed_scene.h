#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/engine.h"
#include "cuda/encoder_attention.h"
#include "cuda/exact_attention.h"
#include "cuda/gpu.h"

namespace nmt_trt::testing {

/// A batch of sources without padding between them. All its numbers follow from the name of a sentence and a
/// position, not from the batch.
struct PackedScene {
  enum Part { kQuery, kKey, kValue };

  DataType type = DataType::kFloat16;
  cuda::HeadShape shape = {2, 64, 0.125F};
  /// Of the sentences by name.
  std::vector<int32_t> lengths = {1, 15, 16, 17, 63, 64, 65, 130, 256};
  /// The name of each sentence of the batch, -1 for padding.
  std::vector<int32_t> batch = {5, -1, 0, 8, 1, 2, 7, 3, -1, 4, 6};
  /// Rows of no sentence before, between and behind the sentences.
  int32_t gap = 1;
  /// By how much PackedSources::longest exceeds what it must be.
  int32_t spare = 0;

  int32_t hidden() const { return shape.heads * shape.head_size; }
  /// Of a sentence of the batch.
  int32_t length_of(size_t sentence) const;
  /// [B]: the last sentence comes first. Padding has a start that there is not.
  std::vector<int32_t> starts() const;
  int32_t rows() const;
  int32_t longest() const;
  /// [length][hidden]
  Vectors numbers(Part part, size_t sentence) const;
  /// [rows, parts * hidden]; rows of no sentence are NaN.
  std::vector<std::byte> packed(const std::vector<Part>& parts) const;
  /// What a sentence has of `rows` rows of `out`, and what no sentence has.
  std::vector<std::byte> out_of(const std::vector<std::byte>& out, size_t sentence) const;
  std::vector<std::byte> out_between(const std::vector<std::byte>& out) const;
};

/// A scene's starts and lengths on the device.
class PackedStage {
 public:
  explicit PackedStage(const PackedScene& scene);

  cuda::PackedSources sources() const { return {count_, longest_, starts_.data(), lengths_.data()}; }

 private:
  int32_t count_;
  int32_t longest_;
  DeviceArray<int32_t> starts_, lengths_;
};

}  // namespace nmt_trt::testing
