#include "cuda/attention_scene.h"

#include <cstring>
#include <limits>

namespace nmt_trt::testing {
namespace {

constexpr std::byte kUntouched{0xFF};

// The hypothesis as it would be called in a scene that is not turned.
int32_t unturned(const AttentionScene& scene, int32_t step, int32_t k) {
  return step == 0 ? k : (k + scene.beam_size - scene.turned) % scene.beam_size;
}

}  // namespace

std::vector<float> AttentionScene::numbers(Kind kind, int32_t name, int32_t place, int32_t k) const {
  const int32_t number = kind == kSourceKey || kind == kSourceValue ? k : unturned(*this, place, k);
  return hashed_numbers({kind, name, place, number}, static_cast<size_t>(hidden()), type);
}

std::vector<int32_t> AttentionScene::ancestry(int32_t name, int32_t steps, int32_t k) const {
  std::vector<int32_t> ancestry(static_cast<size_t>(steps));
  for (int32_t step = steps; step > 0; --step) {
    ancestry[static_cast<size_t>(step - 1)] = k;
    const uint64_t parent = hash_of({kParent, name, step, unturned(*this, step, k)});
    k = (static_cast<int32_t>(parent % static_cast<uint64_t>(beam_size)) + turned) % beam_size;
  }
  return ancestry;
}

std::vector<ExactElement> exact_self_attention(const AttentionScene& scene, int32_t name, int32_t step,
                                               int32_t k) {
  Vectors keys = {scene.numbers(AttentionScene::kKey, name, 0, 0)};
  Vectors values = {scene.numbers(AttentionScene::kValue, name, 0, 0)};
  for (const int32_t slot : scene.ancestry(name, step, k)) {
    const auto place = static_cast<int32_t>(keys.size());
    keys.push_back(scene.numbers(AttentionScene::kKey, name, place, slot));
    values.push_back(scene.numbers(AttentionScene::kValue, name, place, slot));
  }
  return exact_attention(scene.shape, scene.numbers(AttentionScene::kQuery, name, step, k), keys, values,
                         keys.size());
}

std::vector<ExactElement> exact_cross_attention(const AttentionScene& scene, int32_t name, int32_t step,
                                                int32_t k) {
  Vectors keys;
  Vectors values;
  for (int32_t position = 0; position < scene.lengths[static_cast<size_t>(name)]; ++position) {
    keys.push_back(scene.numbers(AttentionScene::kSourceKey, name, position, 0));
    values.push_back(scene.numbers(AttentionScene::kSourceValue, name, position, 0));
  }
  return exact_attention(scene.shape, scene.numbers(AttentionScene::kQuery, name, step, k), keys, values,
                         keys.size());
}

std::vector<double> exact_cross_weights(const AttentionScene& scene, int32_t name, int32_t step, int32_t k) {
  Vectors keys;
  for (int32_t position = 0; position < scene.lengths[static_cast<size_t>(name)]; ++position) {
    keys.push_back(scene.numbers(AttentionScene::kSourceKey, name, position, 0));
  }
  return exact_weights(scene.shape, scene.numbers(AttentionScene::kQuery, name, step, k), keys, keys.size());
}

AttentionStage::AttentionStage(const AttentionScene& scene) : scene_(scene) {
  const size_t rows = scene.rows.size();
  // Sentences are not numbered like rows, so that it shows when one is taken for the other.
  std::vector<int32_t> sentence(rows, -1);
  std::vector<int32_t> lengths(rows, 1 << 30);
  std::vector<uint8_t> finished(rows, 0);
  for (size_t row = 0; row < rows; ++row) {
    const int32_t name = scene.rows[row];
    if (name < 0) continue;
    sentence[row] = static_cast<int32_t>(sentence_of(row));
    lengths[row] = scene.lengths[static_cast<size_t>(name)];
    finished[sentence_of(row)] = scene.lives(name) ? 0 : 1;
  }
  steps_ = DeviceArray<int32_t>(1);
  sentence_ = DeviceArray<int32_t>(sentence);
  lengths_ = DeviceArray<int32_t>(lengths);
  finished_ = DeviceArray<uint8_t>(finished);
  const size_t hypotheses = rows * static_cast<size_t>(scene.beam_size);
  ancestry_ = DeviceArray<int32_t>(hypotheses * static_cast<size_t>(scene.capacity));
  const size_t bytes = hypotheses * static_cast<size_t>(scene.hidden()) * size_of(scene.type);
  qkv_ = DeviceArray<std::byte>(3 * bytes);
  query_ = DeviceArray<std::byte>(bytes);
  out_ = DeviceArray<std::byte>(bytes);
  cache_k_ = DeviceArray<std::byte>(cache_of(AttentionScene::kKey, 0));
  cache_v_ = DeviceArray<std::byte>(cache_of(AttentionScene::kValue, 0));
  cross_k_ = DeviceArray<std::byte>(source(AttentionScene::kSourceKey));
  cross_v_ = DeviceArray<std::byte>(source(AttentionScene::kSourceValue));
}

void AttentionStage::prepare(int32_t step, int32_t only) {
  const auto capacity = static_cast<size_t>(scene_.capacity);
  std::vector<int32_t> ancestry(ancestry_.size(), -1);
  for (size_t row = 0; row < scene_.rows.size(); ++row) {
    for (int32_t k = 0; k < scene_.beam_size && scene_.rows[row] >= 0; ++k) {
      const size_t hypothesis =
          sentence_of(row) * static_cast<size_t>(scene_.beam_size) + static_cast<size_t>(k);
      const auto slots = scene_.ancestry(scene_.rows[row], step, k);
      std::copy_n(slots.begin(), std::min(slots.size(), capacity),
                  ancestry.begin() + static_cast<std::ptrdiff_t>(hypothesis * capacity));
    }
  }
  steps_.upload({step});
  ancestry_.upload(ancestry);
  qkv_.upload(newest({AttentionScene::kQuery, AttentionScene::kKey, AttentionScene::kValue}, step, only));
  query_.upload(newest({AttentionScene::kQuery}, step, only));
  out_.upload(std::vector<std::byte>(out_.size(), kUntouched));
  NMT_TRT_CUDA(cudaDeviceSynchronize());
}

void AttentionStage::fill_cache(int32_t steps) {
  cache_k_.upload(cache_of(AttentionScene::kKey, steps));
  cache_v_.upload(cache_of(AttentionScene::kValue, steps));
}

void AttentionStage::launch_self(cudaStream_t stream) {
  cuda::self_attention(state(), inputs(), scene_.shape, qkv_.data(), cache_k_.data(), cache_v_.data(),
                       out_.data(), scene_.type, stream);
}

void AttentionStage::launch_cross(cudaStream_t stream) {
  cuda::cross_attention(state(), inputs(), scene_.shape, scene_.source, lengths_.data(), query_.data(),
                        cross_k_.data(), cross_v_.data(), out_.data(), scene_.type, stream);
}

std::vector<std::byte> AttentionStage::self(int32_t step, int32_t only) {
  prepare(step, only);
  launch_self();
  return out();
}

std::vector<std::byte> AttentionStage::cross(int32_t step, int32_t only) {
  prepare(step, only);
  launch_cross();
  return out();
}

std::vector<float> AttentionStage::record(int32_t step, const cuda::AttentionRecord& room) {
  prepare(step);
  const size_t rows = scene_.rows.size() * static_cast<size_t>(room.steps * scene_.beam_size);
  const DeviceArray<float> recorded(rows * static_cast<size_t>(room.source));
  cuda::AttentionRecord record = room;
  record.rows = recorded.data();
  const DeviceArray<cuda::AttentionRecord> on_device({record});
  cuda::SearchState search = state();
  search.attention = on_device.data();
  cuda::record_attention(search, inputs(), scene_.shape, scene_.source, lengths_.data(), query_.data(),
                         cross_k_.data(), scene_.type, nullptr);
  return recorded.values();
}

size_t AttentionStage::recorded_at(size_t row, int32_t step, int32_t k,
                                   const cuda::AttentionRecord& room) const {
  const size_t first = sentence_of(row) * static_cast<size_t>(room.steps) + static_cast<size_t>(step);
  return (first * static_cast<size_t>(scene_.beam_size) + static_cast<size_t>(k)) *
         static_cast<size_t>(room.source);
}

std::vector<std::byte> AttentionStage::cache() const {
  std::vector<std::byte> both = cache_k_.values();
  const auto values = cache_v_.values();
  both.insert(both.end(), values.begin(), values.end());
  return both;
}

std::vector<std::byte> AttentionStage::expected_cache(int32_t steps) const {
  std::vector<std::byte> both = cache_of(AttentionScene::kKey, steps);
  const auto values = cache_of(AttentionScene::kValue, steps);
  both.insert(both.end(), values.begin(), values.end());
  return both;
}

std::vector<std::byte> AttentionStage::newest(const std::vector<AttentionScene::Kind>& kinds, int32_t step,
                                              int32_t only) const {
  const std::vector<float> nothing(static_cast<size_t>(scene_.hidden()),
                                   std::numeric_limits<float>::quiet_NaN());
  std::vector<float> newest;
  for (const int32_t name : scene_.rows) {
    for (int32_t k = 0; k < scene_.beam_size; ++k) {
      for (const auto kind : kinds) {
        const bool given = name >= 0 && (only < 0 || only == k);
        const auto numbers = given ? scene_.numbers(kind, name, step, k) : nothing;
        newest.insert(newest.end(), numbers.begin(), numbers.end());
      }
    }
  }
  return encode(newest, scene_.type);
}

std::vector<std::byte> AttentionStage::source(AttentionScene::Kind kind) const {
  return by_heads(scene_.source, [&](int32_t name, int32_t position) {
    const bool used = name >= 0 && position < scene_.lengths[static_cast<size_t>(name)];
    return used ? scene_.numbers(kind, name, position, 0) : std::vector<float>{};
  });
}

std::vector<std::byte> AttentionStage::cache_of(AttentionScene::Kind kind, int32_t steps) const {
  return by_heads(scene_.slots, [&](int32_t name, int32_t slot) {
    const bool used = scene_.lives(name) && slot < steps * scene_.beam_size;
    return used ? scene_.numbers(kind, name, slot / scene_.beam_size, slot % scene_.beam_size)
                : std::vector<float>{};
  });
}

template <typename At>
std::vector<std::byte> AttentionStage::by_heads(int32_t room, At at) const {
  const auto positions = static_cast<size_t>(room);
  const auto heads = static_cast<size_t>(scene_.shape.heads);
  const size_t head_bytes = static_cast<size_t>(scene_.shape.head_size) * size_of(scene_.type);
  std::vector<std::byte> bytes(scene_.rows.size() * heads * positions * head_bytes, kUntouched);
  for (size_t row = 0; row < scene_.rows.size(); ++row) {
    for (size_t position = 0; position < positions; ++position) {
      const auto numbers = encode(at(scene_.rows[row], static_cast<int32_t>(position)), scene_.type);
      for (size_t head = 0; head < heads && !numbers.empty(); ++head) {
        std::memcpy(&bytes[((row * heads + head) * positions + position) * head_bytes],
                    &numbers[head * head_bytes], head_bytes);
      }
    }
  }
  return bytes;
}

cuda::SearchState AttentionStage::state() const {
  cuda::SearchState state{};
  state.sentences = static_cast<int32_t>(scene_.rows.size());
  state.beam_size = scene_.beam_size;
  state.capacity = scene_.capacity;
  state.ancestry = ancestry_.data();
  state.finished = finished_.data();
  state.steps = steps_.data();
  return state;
}

cuda::StepInputs AttentionStage::inputs() const {
  cuda::StepInputs inputs{};
  inputs.rows = static_cast<int32_t>(scene_.rows.size());
  inputs.slots = scene_.slots;
  inputs.sentence = sentence_.data();
  return inputs;
}

std::vector<std::byte> out_row(const AttentionScene& scene, const std::vector<std::byte>& out, size_t row) {
  const auto bytes = static_cast<std::ptrdiff_t>(out.size() / scene.rows.size());
  const auto begin = out.begin() + static_cast<std::ptrdiff_t>(row) * bytes;
  return {begin, begin + bytes};
}

std::vector<std::byte> out_of(const AttentionScene& scene, const std::vector<std::byte>& out, size_t row,
                              int32_t k) {
  const auto all = out_row(scene, out, row);
  const auto bytes = static_cast<std::ptrdiff_t>(all.size()) / scene.beam_size;
  const auto begin = all.begin() + k * bytes;
  return {begin, begin + bytes};
}

}  // namespace nmt_trt::testing
