#include "generator/step_engines.h"

#include <string>

#include "cuda/check.h"
#include "generator/layout.h"

namespace nmt_trt {

StepEngines::StepEngines(int32_t rows, int32_t beam_size, const ModelShape& shape, Plans& plans,
                         cudaStream_t stream)
    : rows_(rows), scratch_(plans.scratch()) {
  const auto count = static_cast<size_t>(rows);
  const auto hidden = static_cast<size_t>(shape.heads) * static_cast<size_t>(shape.head_size);
  const size_t element = size_of(plans.compute_type());
  Layout layout;
  const size_t residual[] = {layout.add<float>(count * hidden), layout.add<float>(count * hidden)};
  const size_t qkv = layout.add(3 * count * hidden * element);
  const size_t query = layout.add(count * hidden * element);
  const size_t attention = layout.add(count * hidden * element);
  const size_t logits =
      layout.add(count * static_cast<size_t>(shape.vocab_size) * size_of(plans.logits_type()));
  const size_t zero_offset = layout.add<int32_t>(count);
  const size_t candidates = layout.add<Candidate>(count * static_cast<size_t>(beam_size));
  memory_ = cuda::DeviceBuffer(layout.bytes());
  // Rows that attention leaves alone must not hold NaN.
  NMT_TRT_CUDA(cudaMemsetAsync(memory_.data(), 0, memory_.bytes(), stream));
  residual_[0] = at<void>(memory_, residual[0]);
  residual_[1] = at<void>(memory_, residual[1]);
  qkv_ = at<void>(memory_, qkv);
  query_ = at<void>(memory_, query);
  attention_ = at<void>(memory_, attention);
  logits_ = at<void>(memory_, logits);
  const void* zeros = at<void>(memory_, zero_offset);
  candidates_ = at<Candidate>(memory_, candidates);
  for (int32_t segment = 0; segment < plans.segments(); ++segment) {
    contexts_.push_back(plans.segment(segment).engine->make_context());
    contexts_.back()->set_scratch(scratch_->data(), scratch_->bytes());
    bind(segment, shape);
  }
  // TensorRT wants one run before a capture. Zeros are a token and a position.
  embed(static_cast<const int32_t*>(zeros), static_cast<const int32_t*>(zeros), stream);
  for (int32_t segment = 1; segment < plans.segments(); ++segment) run(segment, stream);
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

void StepEngines::embed(const int32_t* token, const int32_t* position, cudaStream_t stream) {
  contexts_.front()->bind("token", const_cast<int32_t*>(token));
  contexts_.front()->bind("position", const_cast<int32_t*>(position));
  run(0, stream);
}

}  // namespace nmt_trt
