#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/errors.h"
#include "core/options.h"
#include "cuda/search.h"
#include "generator/ensemble.h"
#include "generator/ensemble_encoders.h"
#include "generator/ensemble_steps.h"
#include "generator/search_memory.h"
#include "generator/stage.h"

namespace nmt_trt {

/// What a stage launches at each decoder step, and what memory it has for it.
struct StepGraph {
  StageKey key;
  cuda::NodeCounts nodes;
  size_t bytes;  // Stage::bytes()
};

/// In place of the tokens that a batch's encoder runs on: no batch begins.
inline constexpr int32_t kNoTokens = 0;

/// The stages made so far and the encoders that they share, the ones used last being kept when memory is
/// short, and the search memory that they share.
class Stages {
 public:
  Stages(Ensemble& ensemble, std::optional<size_t> memory_limit);

  /// Memory for searches with these options and `sentences` sentences at most, made if need be. It is there
  /// as long as the caller or a stage has it. Throws OutOfMemoryError.
  std::shared_ptr<SearchMemory> search_for(const SearchOptions& options, int32_t sentences,
                                           cudaStream_t stream);

  /// The stage of this key and search, made if need be; `in_use` is not given up for it. There is room for
  /// encoder_for(tokens) then, if a batch begins. `other_bytes`: memory in use beside stages and searches.
  /// Throws OutOfMemoryError when it does not fit.
  Stage& get(const StageKey& key, const std::shared_ptr<SearchMemory>& search, size_t other_bytes,
             const Stage* in_use, int32_t tokens, cudaStream_t stream);
  /// What stages run the encoder on so many tokens with, made if need be.
  std::shared_ptr<EnsembleEncoders> encoder_for(int32_t tokens, cudaStream_t stream);

  /// make(), again and again as long as memory is short and there are stages or encoders to give up: what was
  /// used longest ago first, never the stages `needed` nor the encoder of `tokens`. Throws what make()
  /// throws.
  template <typename Make>
  auto with_room(std::initializer_list<const Stage*> needed, int32_t tokens, cudaStream_t stream, Make make) {
    for (;;) {
      try {
        return make();
      } catch (const OutOfMemoryError&) {
        if (!drop_oldest(needed, tokens, stream)) throw;
      }
    }
  }

  /// Of all stages and of the engines' buffers that they share.
  size_t bytes() const;
  size_t search_bytes() const;
  /// Of each stage that is ready for steps, the one used last first.
  std::vector<StepGraph> step_graphs() const;

 private:
  struct Entry {
    StageKey key;
    std::shared_ptr<SearchMemory> search;
    std::unique_ptr<Stage> stage;
    uint64_t used;  // as `uses_` was
  };

  std::shared_ptr<EnsembleSteps> engines_for(const StageKey& key, cudaStream_t stream);
  bool drop_oldest(std::initializer_list<const Stage*> needed, int32_t tokens, cudaStream_t stream);
  std::optional<int32_t> oldest_encoder(int32_t needed) const;
  void make_room(const StageKey& key, const SearchMemory& search, size_t other_bytes, const Stage* made,
                 const Stage* in_use, int32_t tokens, cudaStream_t stream);

  size_t shared_bytes(const Stage& stage, const StageKey& key) const;

  Ensemble& ensemble_;
  std::optional<size_t> memory_limit_;
  uint64_t uses_ = 0;                                            // of stages and encoders
  std::list<Entry> entries_;                                     // the one used last first
  std::map<int32_t, std::weak_ptr<EnsembleSteps>> engines_;      // by rows
  std::map<int32_t, std::weak_ptr<EnsembleEncoders>> encoders_;  // by tokens
  std::map<int32_t, uint64_t> encoders_used_;                    // by tokens, as `uses_` was
  std::map<SearchKey, std::weak_ptr<SearchMemory>> searches_;
};

}  // namespace nmt_trt
