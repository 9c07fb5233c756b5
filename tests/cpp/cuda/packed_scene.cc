#include "cuda/packed_scene.h"

#include <algorithm>

namespace nmt_trt::testing {
namespace {

constexpr std::byte kUntouched{0xFF};

std::vector<int32_t> lengths_of(const PackedScene& scene) {
  std::vector<int32_t> lengths(scene.batch.size());
  for (size_t sentence = 0; sentence < lengths.size(); ++sentence) {
    lengths[sentence] = scene.length_of(sentence);
  }
  return lengths;
}

}  // namespace

int32_t PackedScene::length_of(size_t sentence) const {
  return batch[sentence] < 0 ? 0 : lengths[static_cast<size_t>(batch[sentence])];
}

std::vector<int32_t> PackedScene::starts() const {
  std::vector<int32_t> starts(batch.size(), 1 << 30);
  int32_t row = gap;
  for (size_t sentence = batch.size(); sentence-- > 0;) {
    if (batch[sentence] < 0) continue;
    starts[sentence] = row;
    row += length_of(sentence) + gap;
  }
  return starts;
}

int32_t PackedScene::rows() const {
  int32_t rows = gap;
  for (size_t sentence = 0; sentence < batch.size(); ++sentence) {
    if (batch[sentence] >= 0) rows += length_of(sentence) + gap;
  }
  return rows;
}

int32_t PackedScene::longest() const {
  int32_t longest = 0;
  for (size_t sentence = 0; sentence < batch.size(); ++sentence) {
    longest = std::max(longest, length_of(sentence));
  }
  return longest + spare;
}

Vectors PackedScene::numbers(Part part, size_t sentence) const {
  Vectors numbers;
  for (int32_t position = 0; position < length_of(sentence); ++position) {
    numbers.push_back(hashed_numbers({part, batch[sentence], position}, static_cast<size_t>(hidden()), type));
  }
  return numbers;
}

std::vector<std::byte> PackedScene::packed(const std::vector<Part>& parts) const {
  const size_t bytes = static_cast<size_t>(hidden()) * size_of(type);
  std::vector<std::byte> packed(static_cast<size_t>(rows()) * parts.size() * bytes, kUntouched);
  const auto starts = this->starts();
  for (size_t sentence = 0; sentence < batch.size(); ++sentence) {
    for (size_t part = 0; part < parts.size(); ++part) {
      auto row = static_cast<size_t>(starts[sentence]);
      for (const auto& vector : numbers(parts[part], sentence)) {
        const auto encoded = encode(vector, type);
        std::copy(encoded.begin(), encoded.end(),
                  packed.begin() + static_cast<std::ptrdiff_t>((row * parts.size() + part) * bytes));
        ++row;
      }
    }
  }
  return packed;
}

std::vector<std::byte> PackedScene::out_of(const std::vector<std::byte>& out, size_t sentence) const {
  const auto bytes = static_cast<std::ptrdiff_t>(out.size()) / rows();
  const auto begin = out.begin() + starts()[sentence] * bytes;
  return {begin, begin + length_of(sentence) * bytes};
}

std::vector<std::byte> PackedScene::out_between(const std::vector<std::byte>& out) const {
  const auto bytes = static_cast<std::ptrdiff_t>(out.size()) / rows();
  std::vector<std::byte> between;
  auto from = out.begin();
  const auto starts = this->starts();
  for (size_t sentence = batch.size(); sentence-- > 0;) {
    if (batch[sentence] < 0) continue;
    const auto begin = out.begin() + starts[sentence] * bytes;
    between.insert(between.end(), from, begin);
    from = begin + length_of(sentence) * bytes;
  }
  between.insert(between.end(), from, out.end());
  return between;
}

PackedStage::PackedStage(const PackedScene& scene)
    : count_(static_cast<int32_t>(scene.batch.size())),
      longest_(scene.longest()),
      starts_(scene.starts()),
      lengths_(lengths_of(scene)) {}

}  // namespace nmt_trt::testing
