#include "generator/stages.h"

#include <algorithm>
#include <string>

#include "core/errors.h"
#include "cuda/check.h"

namespace nmt_trt {

Stages::Stages(const ModelShape& shape, Plans& plans, std::optional<size_t> memory_limit)
    : shape_(shape), plans_(plans), memory_limit_(memory_limit) {}

Stage& Stages::get(const StageKey& key, const cuda::SearchState& search, size_t other_bytes,
                   const Stage* in_use, cudaStream_t stream) {
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->policy == search.policy && entry->key == key) {
      entries_.splice(entries_.begin(), entries_, entry);
      return *entries_.front().stage;
    }
  }
  make_room(Stage::bytes_needed(key, shape_, plans_), other_bytes, in_use, stream);
  for (;;) {
    try {
      auto stage = std::make_unique<Stage>(key, shape_, plans_, engines_for(key, stream), search, stream);
      entries_.push_front({key, search.policy, std::move(stage)});
      return *entries_.front().stage;
    } catch (const OutOfMemoryError&) {
      if (!drop_oldest(in_use, stream)) throw;
    }
  }
}

std::shared_ptr<StepEngines> Stages::engines_for(const StageKey& key, cudaStream_t stream) {
  auto& known = engines_[{key.rows, key.beam_size}];
  auto engines = known.lock();
  if (!engines) {
    engines = std::make_shared<StepEngines>(key.rows * key.beam_size, key.beam_size, shape_, plans_, stream);
    known = engines;
  }
  return engines;
}

void Stages::make_room(size_t needed, size_t other_bytes, const Stage* in_use, cudaStream_t stream) {
  if (!memory_limit_) return;
  while (other_bytes + bytes() + needed > *memory_limit_) {
    if (drop_oldest(in_use, stream)) continue;
    throw OutOfMemoryError("this batch needs " + std::to_string(other_bytes + bytes() + needed) +
                           " bytes of GPU memory, and memory_limit is " + std::to_string(*memory_limit_) +
                           "; lower the batch size, the beam size or max_length, or raise memory_limit");
  }
}

bool Stages::drop_oldest(const Stage* in_use, cudaStream_t stream) {
  const auto oldest = std::find_if(entries_.rbegin(), entries_.rend(),
                                   [in_use](const Entry& entry) { return entry.stage.get() != in_use; });
  if (oldest == entries_.rend()) return false;
  NMT_TRT_CUDA(cudaStreamSynchronize(stream));
  entries_.erase(std::next(oldest).base());
  return true;
}

size_t Stages::bytes() const {
  size_t total = 0;
  for (const Entry& entry : entries_) total += entry.stage->bytes();
  for (const auto& [key, engines] : engines_) {
    if (const auto alive = engines.lock()) total += alive->bytes();
  }
  return total;
}

}  // namespace nmt_trt
