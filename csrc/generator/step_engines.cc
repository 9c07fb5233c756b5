#include "generator/step_engines.h"

#include <string>

#include "cuda/check.h"
#include "cuda/stream.h"
#include "generator/layout.h"

namespace nmt_trt {

namespace {

/// Where the arrays lie in the memory of a StepEngines.
struct Offsets {
  size_t residual[2];
  size_t qkv, query, attention, logits, zeros, total;
};

Offsets place(int32_t rows, const ModelShape& shape, Plans& plans) {
  const auto count = static_cast<size_t>(rows);
  const auto hidden = static_cast<size_t>(shape.heads) * static_cast<size_t>(shape.head_size);
  const size_t element = size_of(plans.compute_type());
  Layout layout;
  Offsets offsets;
  for (size_t& residual : offsets.residual) residual = layout.add<float>(count * hidden);
  offsets.qkv = layout.add(3 * count * hidden * element);
  offsets.query = layout.add(count * hidden * element);
  offsets.attention = layout.add(count * hidden * element);
  offsets.logits = layout.add(count * static_cast<size_t>(shape.vocab_size) * size_of(plans.logits_type()));
  offsets.zeros = layout.add<int32_t>(count);
  offsets.total = layout.bytes();
  return offsets;
}

}  // namespace

size_t StepEngines::bytes_needed(int32_t rows, const ModelShape& shape, Plans& plans) {
  return place(rows, shape, plans).total;
}

StepEngines::StepEngines(int32_t rows, const ModelShape& shape, Plans& plans, cudaStream_t stream)
    : rows_(rows), scratch_(plans.scratch()) {
  const Offsets offsets = place(rows, shape, plans);
  memory_ = cuda::DeviceBuffer(offsets.total);
  // Rows that attention leaves alone must not hold NaN.
  NMT_TRT_CUDA(cudaMemsetAsync(memory_.data(), 0, memory_.bytes(), stream));
  residual_[0] = at<void>(memory_, offsets.residual[0]);
  residual_[1] = at<void>(memory_, offsets.residual[1]);
  qkv_ = at<void>(memory_, offsets.qkv);
  query_ = at<void>(memory_, offsets.query);
  attention_ = at<void>(memory_, offsets.attention);
  logits_ = at<void>(memory_, offsets.logits);
  std::vector<EngineContext*> all;
  for (int32_t segment = 0; segment < plans.segments(); ++segment) {
    contexts_.push_back(plans.segment(segment).engine->make_context());
    contexts_.back()->set_scratch(scratch_->data(), scratch_->bytes());
    bind(segment, shape);
    all.push_back(contexts_.back().get());
  }
  // Nothing may run when this or what follows fails, and all is destroyed.
  const cuda::WaitAtEnd wait(stream);
  // TensorRT wants one run before a capture. Zeros are a token and a position.
  bind_inputs(at<int32_t>(memory_, offsets.zeros), at<int32_t>(memory_, offsets.zeros));
  plans.rehearse(all, stream);
  NMT_TRT_CUDA(cudaStreamSynchronize(stream));
}

void StepEngines::bind(int32_t segment, const ModelShape& shape) {
  EngineContext& context = *contexts_[static_cast<size_t>(segment)];
  const int64_t hidden = int64_t{shape.heads} * shape.head_size;
  const auto last = static_cast<int32_t>(2 * shape.layers);
  if (segment == 0) {
    context.set_shape("token", {rows_});
    context.set_shape("position", {1});
  } else {
    context.set_shape("attention", {rows_, hidden});
    context.bind("attention", attention_);
    context.set_shape("residual", {rows_, hidden});
    context.bind("residual", residual_[(segment - 1) % 2]);
  }
  if (segment == last) {
    context.bind("logits", logits_);
    return;
  }
  context.bind("residual_out", residual_[segment % 2]);
  if (segment % 2 == 0) {
    context.bind("qkv", qkv_);
  } else {
    context.bind("query", query_);
  }
}

void StepEngines::bind_inputs(const int32_t* token, const int32_t* position) {
  contexts_.front()->bind("token", const_cast<int32_t*>(token));
  contexts_.front()->bind("position", const_cast<int32_t*>(position));
}

void StepEngines::embed(const int32_t* token, const int32_t* position, cudaStream_t stream) {
  bind_inputs(token, position);
  run(0, stream);
}

}  // namespace nmt_trt
