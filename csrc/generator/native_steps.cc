#include "generator/native_steps.h"

#include "cuda/check.h"
#include "cuda/stream.h"
#include "generator/layout.h"

namespace nmt_trt {
namespace {

constexpr cuda::Activated kPlain = {cuda::Activation::kNone, 1.0F, 1.0F};

/// Where the arrays lie in the memory of NativeSteps.
struct Offsets {
  size_t residual, sum, qkv, query, attention, hidden, logits, zeros, total;
};

Offsets place(int32_t rows, const ModelShape& shape, const NativeSource& source) {
  const auto count = static_cast<size_t>(rows);
  const auto hidden = static_cast<size_t>(shape.heads) * static_cast<size_t>(shape.head_size);
  const size_t element = size_of(source.type);
  Layout layout;
  Offsets offsets;
  offsets.residual = layout.add<float>(count * hidden);
  offsets.sum = source.pre_norm ? offsets.residual : layout.add<float>(count * hidden);
  offsets.qkv = layout.add(3 * count * hidden * element);
  offsets.query = layout.add(count * hidden * element);
  offsets.attention = layout.add(count * hidden * element);
  offsets.hidden = layout.add(count * static_cast<size_t>(source.inner_size) * element);
  offsets.logits = layout.add<float>(count * static_cast<size_t>(shape.vocab_size));
  offsets.zeros = layout.add<int32_t>(count);
  offsets.total = layout.bytes();
  return offsets;
}

}  // namespace

size_t NativeSteps::bytes_needed(int32_t rows, const ModelShape& shape, const NativeSource& source) {
  return place(rows, shape, source).total;
}

NativeSteps::NativeSteps(int32_t rows, const ModelShape& shape, const NativeSource& source,
                         const NativeDecoder& decoder, cudaStream_t stream)
    : rows_(rows),
      hidden_size_(shape.heads * shape.head_size),
      type_(source.type),
      pre_norm_(source.pre_norm),
      parts_(decoder.parts()) {
  const Offsets offsets = place(rows, shape, source);
  memory_ = cuda::DeviceBuffer(offsets.total);
  // Rows that attention leaves alone must not hold NaN.
  NMT_TRT_CUDA(cudaMemsetAsync(memory_.data(), 0, memory_.bytes(), stream));
  residual_ = at<float>(memory_, offsets.residual);
  sum_ = at<float>(memory_, offsets.sum);
  qkv_ = at<void>(memory_, offsets.qkv);
  query_ = at<void>(memory_, offsets.query);
  attention_ = at<void>(memory_, offsets.attention);
  hidden_ = at<void>(memory_, offsets.hidden);
  logits_ = at<float>(memory_, offsets.logits);
  rehearse(at<int32_t>(memory_, offsets.zeros), stream);
}

// CUDA loads kernels at their first run, which a capture must not be, and which kernels depends on the rows.
// Zeros are a token and a position.
void NativeSteps::rehearse(const int32_t* zeros, cudaStream_t stream) {
  const cuda::WaitAtEnd wait(stream);  // nothing may run when a launch fails, and all is destroyed
  embed(zeros, zeros, stream);
  for (int32_t segment = 1; segment <= 2 * static_cast<int32_t>(parts_.layers.size()); ++segment) {
    run(segment, stream);
  }
  NMT_TRT_CUDA(cudaStreamSynchronize(stream));
}

void NativeSteps::embed(const int32_t* token, const int32_t* position, cudaStream_t stream) {
  cuda::embed_tokens(parts_.embedding, token, position, residual_, rows_, type_, stream);
  enter(parts_.layers.front().self_attention, nullptr, kPlain, qkv_, stream);
}

void NativeSteps::run(int32_t segment, cudaStream_t stream) {
  const auto index = static_cast<size_t>(segment - 1) / 2;
  const NativeLayer& layer = parts_.layers[index];
  if (segment % 2 == 1) {
    leave(layer.self_attention, attention_, stream);
    enter(layer.cross_attention, &layer.self_attention, kPlain, query_, stream);
    return;
  }
  leave(layer.cross_attention, attention_, stream);
  enter(layer.feed_forward, &layer.cross_attention, layer.activated, hidden_, stream);
  leave(layer.feed_forward, hidden_, stream);
  if (index + 1 < parts_.layers.size()) {
    enter(parts_.layers[index + 1].self_attention, &layer.feed_forward, kPlain, qkv_, stream);
  } else {
    project(layer.feed_forward, stream);
  }
}

// The first linear layer of a block. A post-norm model's sum gets the norm of the block before on the way,
// and is kept normalized, as what the next residual sum adds to; behind the embedding (`left` is null) it is
// that already.
void NativeSteps::enter(const NativeBlock& block, const NativeBlock* left, const cuda::Activated& activated,
                        void* out, cudaStream_t stream) {
  cuda::Normalized input = {residual_, {}, nullptr, block.given_factor};
  if (pre_norm_) {
    input.norm = block.norm;
  } else if (left != nullptr) {
    input = {sum_, left->norm, residual_, block.given_factor};
  }
  cuda::normalized_linear(input, block.in, activated, attention_, out, rows_, type_, stream);
}

// The last linear layer of a block and the residual sum.
void NativeSteps::leave(const NativeBlock& block, const void* inner, cudaStream_t stream) {
  cuda::residual_linear(inner, block.out, block.result_factor, residual_, sum_, rows_, type_, stream);
}

// Behind the last block, `left`.
void NativeSteps::project(const NativeBlock& left, cudaStream_t stream) {
  const NativeOutput& output = parts_.output;
  cuda::Normalized input = {sum_, pre_norm_ ? parts_.final_norm : left.norm, nullptr, output.given_factor};
  if (!pre_norm_ && parts_.final_norm.gain != nullptr) {  // two norms, and the projection takes one
    cuda::normalize_rows(sum_, left.norm, residual_, rows_, hidden_size_, stream);
    input.stream = residual_;
    input.norm = parts_.final_norm;
  }
  cuda::project_logits(input, output.linear, output.result_factor, qkv_, logits_, rows_, type_, stream);
}

}  // namespace nmt_trt
