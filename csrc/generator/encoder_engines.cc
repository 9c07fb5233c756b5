#include "generator/encoder_engines.h"

#include <cmath>
#include <string>

#include "cuda/check.h"
#include "cuda/stream.h"
#include "generator/layout.h"
#include "generator/send_to_device.h"

namespace nmt_trt {
namespace {

/// Where the arrays lie in the memory of EncoderEngines.
struct Offsets {
  size_t token, position;
  size_t residual[2];
  size_t qkv, attention;
  std::vector<size_t> cross;
  size_t total;
};

Offsets place(int32_t tokens, const ModelShape& shape, Plans& plans) {
  const auto count = static_cast<size_t>(tokens);
  const auto hidden = static_cast<size_t>(shape.encoder_heads) * static_cast<size_t>(shape.encoder_head_size);
  const auto cross = static_cast<size_t>(shape.heads) * static_cast<size_t>(shape.head_size);
  const size_t element = size_of(plans.compute_type());
  Layout layout;
  Offsets offsets;
  offsets.token = layout.add<int32_t>(count);
  offsets.position = layout.add<int32_t>(count);
  for (size_t& residual : offsets.residual) residual = layout.add<float>(count * hidden);
  offsets.qkv = layout.add(3 * count * hidden * element);
  offsets.attention = layout.add(count * hidden * element);
  for (int32_t layer = 0; layer < shape.layers; ++layer) {
    offsets.cross.push_back(layout.add(2 * count * cross * element));
  }
  offsets.total = layout.bytes();
  return offsets;
}

}  // namespace

size_t EncoderEngines::bytes_needed(int32_t tokens, const ModelShape& shape, Plans& plans) {
  return place(tokens, shape, plans).total;
}

EncoderEngines::EncoderEngines(int32_t tokens, const ModelShape& shape, Plans& plans, cudaStream_t stream)
    : heads_{shape.encoder_heads, shape.encoder_head_size,
             1.0F / std::sqrt(static_cast<float>(shape.encoder_head_size))},
      causal_(shape.causal_encoder),
      type_(plans.compute_type()),
      scratch_(plans.scratch()),
      host_token_(static_cast<size_t>(tokens)),
      host_position_(static_cast<size_t>(tokens)) {
  const Offsets offsets = place(tokens, shape, plans);
  memory_ = cuda::DeviceBuffer(offsets.total);
  // Zeros are tokens and positions, and rows that attention leaves alone must not hold NaN.
  NMT_TRT_CUDA(cudaMemsetAsync(memory_.data(), 0, memory_.bytes(), stream));
  token_ = at<int32_t>(memory_, offsets.token);
  position_ = at<int32_t>(memory_, offsets.position);
  residual_[0] = at<void>(memory_, offsets.residual[0]);
  residual_[1] = at<void>(memory_, offsets.residual[1]);
  qkv_ = at<void>(memory_, offsets.qkv);
  attention_ = at<void>(memory_, offsets.attention);
  for (const size_t offset : offsets.cross) cross_.push_back(at<void>(memory_, offset));
  std::vector<EngineContext*> all;
  for (int32_t segment = 0; segment <= shape.encoder_layers; ++segment) {
    contexts_.push_back(plans.encoder_segment(segment).engine->make_context());
    contexts_.back()->set_scratch(scratch_->data(), scratch_->bytes());
    bind(segment, segment == shape.encoder_layers, tokens);
    all.push_back(contexts_.back().get());
  }
  // Nothing may run when this or what follows fails, and all is destroyed.
  const cuda::WaitAtEnd wait(stream);
  // TensorRT wants one run before a capture.
  plans.rehearse(all, stream);
  NMT_TRT_CUDA(cudaStreamSynchronize(stream));
}

void EncoderEngines::bind(int32_t segment, bool last, int32_t tokens) {
  EngineContext& context = *contexts_.back();
  const int64_t hidden = int64_t{heads_.heads} * heads_.head_size;
  if (segment == 0) {
    context.set_shape("token", {tokens});
    context.bind("token", token_);
    context.set_shape("position", {tokens});
    context.bind("position", position_);
  } else {
    context.set_shape("attention", {tokens, hidden});
    context.bind("attention", attention_);
    context.set_shape("residual", {tokens, hidden});
    context.bind("residual", residual_[(segment - 1) % 2]);
  }
  if (last) {
    for (size_t layer = 0; layer < cross_.size(); ++layer) {
      context.bind("cross_" + std::to_string(layer), cross_[layer]);
    }
    return;
  }
  context.bind("residual_out", residual_[segment % 2]);
  context.bind("qkv", qkv_);
}

void EncoderEngines::send(cudaStream_t stream) {
  send_to_device(token_, host_token_, stream);
  send_to_device(position_, host_position_, stream);
}

void EncoderEngines::run(const cuda::PackedSources& sources, cudaStream_t stream) {
  contexts_.front()->enqueue(stream);
  for (size_t segment = 1; segment < contexts_.size(); ++segment) {
    cuda::encoder_attention(sources, heads_, causal_, qkv_, attention_, type_, stream);
    contexts_[segment]->enqueue(stream);
  }
}

}  // namespace nmt_trt
