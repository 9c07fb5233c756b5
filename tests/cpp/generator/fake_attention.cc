// cuda/attention.h and cuda/encoder_attention.h on the fake device, for the toy model.
#include "cuda/attention.h"

#include <algorithm>

#include "cuda/check.h"
#include "cuda/encoder_attention.h"
#include "fake_device.h"
#include "fake_launch.h"
#include "toy_model.h"

namespace nmt_trt::cuda {
namespace {

using testing::device;
using testing::launch;
namespace toy = testing::toy;

constexpr size_t kHidden = toy::kHidden;

/// Calls look(row, sentence) for the rows that attention does not leave alone.
template <typename Look>
void for_each_row(const SearchState& state, const StepInputs& inputs, Look look) {
  if ((*state.steps + 1) * state.beam_size > inputs.slots) return;
  for (int32_t row = 0; row < inputs.rows; ++row) {
    const int32_t sentence = inputs.sentence[row];
    if (sentence >= 0 && state.finished[sentence] == 0) look(row, sentence);
  }
}

struct SelfAttention {
  SearchState state;
  StepInputs inputs;
  const float* qkv;
  float *keys, *values, *out;

  void operator()() const {
    for_each_row(state, inputs, [this](int32_t row, int32_t sentence) {
      for (int32_t k = 0; k < state.beam_size; ++k) append(row, k);
      for (int32_t k = 0; k < state.beam_size; ++k) attend(row, sentence, k);
    });
  }

 private:
  size_t beam(int32_t row, int32_t k) const { return static_cast<size_t>(row * state.beam_size + k); }
  size_t place(int32_t row, int32_t head, int32_t slot) const {
    return (static_cast<size_t>(row * toy::kHeads + head) * static_cast<size_t>(inputs.slots) +
            static_cast<size_t>(slot)) *
           toy::kHeadSize;
  }
  void append(int32_t row, int32_t k) const {
    const float* key = qkv + beam(row, k) * 3 * kHidden + kHidden;
    const int32_t slot = *state.steps * state.beam_size + k;
    for (int32_t head = 0; head < toy::kHeads; ++head) {
      std::copy_n(key + head * toy::kHeadSize, toy::kHeadSize, keys + place(row, head, slot));
      std::copy_n(key + kHidden + head * toy::kHeadSize, toy::kHeadSize, values + place(row, head, slot));
    }
  }
  void attend(int32_t row, int32_t sentence, int32_t k) const {
    const int32_t* ancestry =
        state.ancestry + (static_cast<int64_t>(sentence) * state.beam_size + k) * state.capacity;
    for (int32_t head = 0; head < toy::kHeads; ++head) {
      const auto first = static_cast<size_t>(head * toy::kHeadSize);
      toy::Attention attention(qkv + beam(row, k) * 3 * kHidden + first);
      for (int32_t position = 0; position <= *state.steps; ++position) {
        const int32_t slot = position == 0 ? 0 : position * state.beam_size + ancestry[position - 1];
        attention.look_at(keys + place(row, head, slot), values + place(row, head, slot));
      }
      attention.write(out + beam(row, k) * kHidden + first);
    }
  }
};

struct CrossAttention {
  SearchState state;
  StepInputs inputs;
  int32_t source;
  const int32_t* lengths;
  const float *query, *keys, *values;
  float* out;

  void operator()() const {
    for_each_row(state, inputs, [this](int32_t row, int32_t) {
      for (int32_t k = 0; k < state.beam_size; ++k) attend(row, k);
    });
  }

 private:
  void attend(int32_t row, int32_t k) const {
    const size_t beam = static_cast<size_t>(row * state.beam_size + k) * kHidden;
    for (int32_t head = 0; head < toy::kHeads; ++head) {
      const auto first = static_cast<size_t>(head * toy::kHeadSize);
      toy::Attention attention(query + beam + first);
      const int32_t begin = (row * toy::kHeads + head) * source;
      for (int32_t position = 0; position < lengths[row]; ++position) {
        const int32_t place = (begin + position) * toy::kHeadSize;
        attention.look_at(keys + place, values + place);
      }
      attention.write(out + beam + first);
    }
  }
};

struct RecordAttention {
  SearchState state;
  StepInputs inputs;
  int32_t source;
  const int32_t* lengths;
  const float *query, *keys;

  void operator()() const {
    for_each_row(state, inputs, [this](int32_t row, int32_t sentence) {
      const AttentionRecord& record = *state.attention;
      if (sentence >= record.sentences || *state.steps >= record.steps) return;
      const int64_t step = int64_t{sentence} * record.steps + *state.steps;
      for (int32_t k = 0; k < state.beam_size; ++k) {
        write(row, k, record.rows + (step * state.beam_size + k) * record.source, record.source);
      }
    });
  }

 private:
  void write(int32_t row, int32_t k, float* out, int32_t width) const {
    std::fill_n(out, width, 0.0F);
    for (int32_t head = 0; head < toy::kHeads; ++head) {
      const float* asked =
          query + static_cast<size_t>(row * state.beam_size + k) * kHidden + head * toy::kHeadSize;
      const float* key = keys + (row * toy::kHeads + head) * source * toy::kHeadSize;
      for (int32_t position = 0; position < lengths[row]; ++position) {
        out[position] += toy::weight(asked, key + position * toy::kHeadSize);
      }
    }
  }
};

struct EncoderAttention {
  PackedSources sources;
  const float* qkv;
  float* out;

  void operator()() const {
    for (int32_t sentence = 0; sentence < sources.sentences; ++sentence) {
      const int32_t length = sources.lengths[sentence];
      if (length == 0) continue;
      const int32_t end = sources.starts[sentence] + length;
      if (!device().in_same_buffer(out, out + static_cast<size_t>(end) * kHidden)) {
        return device().forbid("the encoder's attention writes beyond its memory");
      }
      for (int32_t row = 0; row < length; ++row) attend(sentence, row);
    }
  }

 private:
  const float* at(int32_t row) const { return qkv + static_cast<size_t>(row) * 3 * kHidden; }
  void attend(int32_t sentence, int32_t position) const {
    const int32_t start = sources.starts[sentence];
    for (size_t first = 0; first < kHidden; first += toy::kHeadSize) {
      toy::Attention attention(at(start + position) + first);
      for (int32_t other = 0; other < sources.lengths[sentence]; ++other) {
        const float* key = at(start + other) + kHidden + first;
        attention.look_at(key, key + kHidden);
      }
      attention.write(out + static_cast<size_t>(start + position) * kHidden + first);
    }
  }
};

struct SplitHeads {
  PackedSources sources;
  int32_t source;
  const float* keys_values;
  float *keys, *values;

  void operator()() const {
    for (int32_t sentence = 0; sentence < sources.sentences; ++sentence) {
      for (int32_t position = 0; position < sources.lengths[sentence]; ++position) {
        const float* row =
            keys_values + static_cast<size_t>(sources.starts[sentence] + position) * 2 * kHidden;
        for (int32_t head = 0; head < toy::kHeads; ++head) {
          const int32_t place = ((sentence * toy::kHeads + head) * source + position) * toy::kHeadSize;
          std::copy_n(row + head * toy::kHeadSize, toy::kHeadSize, keys + place);
          std::copy_n(row + kHidden + head * toy::kHeadSize, toy::kHeadSize, values + place);
        }
      }
    }
  }
};

}  // namespace

void encoder_attention(const PackedSources& sources, const HeadShape& /*shape*/, bool /*causal*/,
                       const void* qkv, void* out, DataType /*type*/, cudaStream_t stream) {
  launch(stream, EncoderAttention{sources, static_cast<const float*>(qkv), static_cast<float*>(out)});
}

void split_heads(const PackedSources& sources, const HeadShape& /*shape*/, int32_t source,
                 const void* keys_values, void* cross_k, void* cross_v, DataType /*type*/,
                 cudaStream_t stream) {
  launch(stream, SplitHeads{sources, source, static_cast<const float*>(keys_values),
                            static_cast<float*>(cross_k), static_cast<float*>(cross_v)});
}

void self_attention(const SearchState& state, const StepInputs& inputs, const HeadShape& /*shape*/,
                    const void* qkv, void* cache_k, void* cache_v, void* out, DataType /*type*/,
                    cudaStream_t stream) {
  launch(stream, SelfAttention{state, inputs, static_cast<const float*>(qkv), static_cast<float*>(cache_k),
                               static_cast<float*>(cache_v), static_cast<float*>(out)});
}

void cross_attention(const SearchState& state, const StepInputs& inputs, const HeadShape& /*shape*/,
                     int32_t source, const int32_t* lengths, const void* query, const void* cross_k,
                     const void* cross_v, void* out, DataType /*type*/, cudaStream_t stream) {
  launch(stream, CrossAttention{state, inputs, source, lengths, static_cast<const float*>(query),
                                static_cast<const float*>(cross_k), static_cast<const float*>(cross_v),
                                static_cast<float*>(out)});
}

void record_attention(const SearchState& state, const StepInputs& inputs, const HeadShape& /*shape*/,
                      int32_t source, const int32_t* lengths, const void* query, const void* cross_k,
                      DataType /*type*/, cudaStream_t stream) {
  launch(stream, RecordAttention{state, inputs, source, lengths, static_cast<const float*>(query),
                                 static_cast<const float*>(cross_k)});
}

}  // namespace nmt_trt::cuda
