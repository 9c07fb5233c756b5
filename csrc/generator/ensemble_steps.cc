#include "generator/ensemble_steps.h"

#include "cuda/check.h"
#include "generator/layout.h"
#include "generator/native_steps.h"
#include "generator/step_engines.h"

namespace nmt_trt {
namespace {

/// Where the averages lie in the memory of EnsembleSteps.
struct Offsets {
  size_t average, scratch, total;
};

Offsets place(int32_t rows, const Ensemble& ensemble) {
  if (ensemble.size() == 1) return {};
  const int32_t vocab_size = ensemble.common().vocab_size;
  const auto models = static_cast<int32_t>(ensemble.size());
  Layout layout;
  Offsets offsets;
  offsets.average = layout.add<float>(static_cast<size_t>(rows) * static_cast<size_t>(vocab_size));
  offsets.scratch = layout.add(cuda::average_log_probs_scratch_bytes(rows, models, vocab_size));
  offsets.total = layout.bytes();
  return offsets;
}

size_t bytes_of_one(int32_t rows, const ModelShape& shape, Plans& plans) {
  const NativeSource* native = plans.native_source();
  return native == nullptr ? StepEngines::bytes_needed(rows, shape, plans)
                           : NativeSteps::bytes_needed(rows, shape, *native);
}

std::unique_ptr<DecoderSteps> make_one(int32_t rows, const ModelShape& shape, Plans& plans,
                                       cudaStream_t stream) {
  const NativeSource* native = plans.native_source();
  if (native == nullptr) return std::make_unique<StepEngines>(rows, shape, plans, stream);
  return std::make_unique<NativeSteps>(rows, shape, *native, plans.native_decoder(stream), stream);
}

}  // namespace

size_t EnsembleSteps::bytes_needed(int32_t rows, Ensemble& ensemble) {
  size_t total = place(rows, ensemble).total;
  for (size_t model = 0; model < ensemble.size(); ++model) {
    total += bytes_of_one(rows, ensemble.shape(model), ensemble.plans(model));
  }
  return total;
}

EnsembleSteps::EnsembleSteps(int32_t rows, Ensemble& ensemble, cudaStream_t stream) {
  for (size_t model = 0; model < ensemble.size(); ++model) {
    Plans& plans = ensemble.plans(model);
    decoders_.push_back(make_one(rows, ensemble.shape(model), plans, stream));
    models_.push_back({decoders_.back()->logits(), plans.logits_type()});
  }
  logits_ = models_.front();
  if (ensemble.size() == 1) return;
  const Offsets offsets = place(rows, ensemble);
  memory_ = cuda::DeviceBuffer(offsets.total);
  average_ = at<float>(memory_, offsets.average);
  scratch_ = at<void>(memory_, offsets.scratch);
  logits_ = {average_, DataType::kFloat32};
}

void EnsembleSteps::combine(const cuda::SearchState& search, const cuda::StepInputs& inputs,
                            cudaStream_t stream) {
  if (models_.size() == 1) return;
  cuda::average_log_probs(search, inputs, models_, scratch_, average_, stream);
}

size_t EnsembleSteps::bytes() const {
  size_t total = memory_.bytes();
  for (const auto& decoder : decoders_) total += decoder->bytes();
  return total;
}

}  // namespace nmt_trt
