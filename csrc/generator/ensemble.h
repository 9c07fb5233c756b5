#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/engine.h"
#include "generator/buckets.h"
#include "generator/model_shape.h"
#include "generator/model_source.h"
#include "generator/plans.h"

namespace nmt_trt {

/// The models whose probabilities are averaged at each step; mostly there is one. Attention is the first
/// one's.
class Ensemble {
 public:
  /// Throws UsageError for no models or too many, and for models of different vocabularies or special tokens.
  Ensemble(std::shared_ptr<EngineLibrary> library, std::vector<ModelSource> models);

  size_t size() const { return plans_.size(); }
  const ModelShape& shape(size_t model) const { return shapes_[model]; }
  Plans& plans(size_t model) { return plans_[model]; }

  /// The first model's shape, with the smallest limits of all.
  const ModelShape& common() const { return common_; }
  /// What all models admit: tokens of all sources of a batch together, and rows of the decoder's batch.
  Extent tokens();
  Extent rows();

  /// Loads all engines and the weights of native decoders, and makes the scratch memory of each model.
  void load(cudaStream_t stream);
  size_t plan_bytes() const;
  size_t scratch_bytes() const;

 private:
  std::vector<ModelShape> shapes_;
  std::vector<Plans> plans_;
  ModelShape common_;
};

}  // namespace nmt_trt
