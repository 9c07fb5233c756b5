#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "core/options.h"
#include "cuda/search.h"
#include "generator/model_shape.h"
#include "generator/plans.h"
#include "generator/stage.h"

namespace nmt_trt {

/// The stages made so far, the ones used last being kept when memory is short.
class Stages {
 public:
  Stages(const ModelShape& shape, Plans& plans, std::optional<size_t> memory_limit);

  /// The stage of this key and policy, made if need be. `in_use` is not given up for it. `other_bytes`:
  /// memory in use beside the stages. Throws OutOfMemoryError when it does not fit.
  Stage& get(const StageKey& key, const cuda::SearchState& search, size_t other_bytes, const Stage* in_use,
             cudaStream_t stream);

  /// Of all stages and of the engines' buffers that they share.
  size_t bytes() const;

 private:
  struct Entry {
    StageKey key;
    PolicyKind policy;
    std::unique_ptr<Stage> stage;
  };

  std::shared_ptr<StepEngines> engines_for(const StageKey& key, cudaStream_t stream);
  bool drop_oldest(const Stage* in_use, cudaStream_t stream);
  void make_room(size_t needed, size_t other_bytes, const Stage* in_use, cudaStream_t stream);

  ModelShape shape_;
  Plans& plans_;
  std::optional<size_t> memory_limit_;
  std::list<Entry> entries_;                                                   // the one used last first
  std::map<std::pair<int32_t, int32_t>, std::weak_ptr<StepEngines>> engines_;  // by rows and beam size
};

}  // namespace nmt_trt
