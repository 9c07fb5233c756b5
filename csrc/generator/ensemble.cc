#include "generator/ensemble.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/errors.h"
#include "cuda/average_log_probs.h"

namespace nmt_trt {
namespace {

void check_same(const char* name, int32_t given, int32_t wanted) {
  if (given == wanted) return;
  throw UsageError(std::string(name) + " of every model", std::to_string(wanted) + ", as the first one's",
                   std::to_string(given));
}

void check_vocabulary(const ModelShape& shape, const ModelShape& wanted) {
  check_same("vocab_size", shape.vocab_size, wanted.vocab_size);
  check_same("eos", shape.eos, wanted.eos);
  check_same("pad", shape.pad, wanted.pad);
  check_same("bos", shape.bos, wanted.bos);
}

Extent both(const Extent& one, const Extent& other) {
  return {std::max(one.least, other.least), std::min(one.most, other.most)};
}

}  // namespace

Ensemble::Ensemble(std::shared_ptr<EngineLibrary> library, std::vector<ModelSource> models) {
  if (models.empty() || models.size() > static_cast<size_t>(cuda::kMaxModels)) {
    throw UsageError("the number of models", "from 1 to " + std::to_string(cuda::kMaxModels),
                     std::to_string(models.size()));
  }
  common_ = models.front().shape;
  for (ModelSource& model : models) {
    check_vocabulary(model.shape, common_);
    common_.max_positions = std::min(common_.max_positions, model.shape.max_positions);
    common_.max_batch = std::min(common_.max_batch, model.shape.max_batch);
    common_.max_source = std::min(common_.max_source, model.shape.max_source);
    if (!shapes_.empty()) model.shape.attention_layer = ModelShape::kTellsNone;
    shapes_.push_back(model.shape);
    plans_.emplace_back(library, std::move(model));
  }
}

Extent Ensemble::tokens() {
  Extent admitted = plans_.front().tokens();
  for (Plans& plans : plans_) admitted = both(admitted, plans.tokens());
  return admitted;
}

Extent Ensemble::rows() {
  Extent admitted = plans_.front().rows();
  for (Plans& plans : plans_) admitted = both(admitted, plans.rows());
  return admitted;
}

void Ensemble::load(cudaStream_t stream) {
  for (Plans& plans : plans_) {
    plans.scratch();
    if (plans.native_source() != nullptr) plans.native_decoder(stream);
  }
}

size_t Ensemble::plan_bytes() const {
  size_t total = 0;
  for (const Plans& plans : plans_) total += plans.plan_bytes();
  return total;
}

size_t Ensemble::scratch_bytes() const {
  size_t total = 0;
  for (const Plans& plans : plans_) total += plans.scratch_bytes();
  return total;
}

}  // namespace nmt_trt
