#include "generator/stages.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/errors.h"
#include "cuda/check.h"

namespace nmt_trt {

Stages::Stages(const ModelShape& shape, Plans& plans, std::optional<size_t> memory_limit)
    : shape_(shape), plans_(plans), memory_limit_(memory_limit) {}

std::shared_ptr<SearchMemory> Stages::search_for(const SearchOptions& options, int32_t sentences,
                                                 cudaStream_t stream) {
  const SearchKey key = SearchKey::of(options);
  auto search = searches_[key].lock();
  if (!search) {
    search = with_room({}, stream, [&] {
      return std::make_shared<SearchMemory>(shape_, key, sentences, shape_.max_positions, stream);
    });
    searches_[key] = search;
  }
  with_room({}, stream, [&] { search->reserve(options); });
  return search;
}

Stage& Stages::get(const StageKey& key, const std::shared_ptr<SearchMemory>& search, size_t other_bytes,
                   const Stage* in_use, cudaStream_t stream) {
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->search == search && entry->key == key) {
      entries_.splice(entries_.begin(), entries_, entry);
      return *entries_.front().stage;
    }
  }
  make_room(key, *search, other_bytes, in_use, stream);
  auto stage = with_room({in_use}, stream, [&] {
    return std::make_unique<Stage>(key, shape_, plans_, engines_for(key, stream), search->state(), stream);
  });
  entries_.push_front({key, search, std::move(stage)});
  return *entries_.front().stage;
}

std::shared_ptr<StepEngines> Stages::engines_for(const StageKey& key, cudaStream_t stream) {
  const int32_t rows = key.rows * key.beam_size;
  auto& known = engines_[rows];
  auto engines = known.lock();
  if (!engines) {
    engines = std::make_shared<StepEngines>(rows, shape_, plans_, stream);
    known = engines;
  }
  return engines;
}

// Under memory_limit. What can never fit drives nothing out.
void Stages::make_room(const StageKey& key, const SearchMemory& search, size_t other_bytes,
                       const Stage* in_use, cudaStream_t stream) {
  if (!memory_limit_) return;
  const size_t own = Stage::bytes_needed(key, search.state().candidates, shape_, plans_);
  const int32_t rows = key.rows * key.beam_size;
  const size_t shared = StepEngines::bytes_needed(rows, shape_, plans_);
  const auto needed = [&] {
    const auto engines = engines_.find(rows);
    return own + (engines == engines_.end() || engines->second.expired() ? shared : 0);
  };
  size_t least = other_bytes + search.bytes() + own + shared;
  if (in_use != nullptr) {
    const StageKey& used = in_use->key();
    least += in_use->bytes();
    if (used.rows != key.rows) {
      least += StepEngines::bytes_needed(used.rows * used.beam_size, shape_, plans_);
    }
  }
  if (least > *memory_limit_) {
    throw OutOfMemoryError("this batch needs " + std::to_string(least) +
                           " bytes of GPU memory, and memory_limit is " + std::to_string(*memory_limit_) +
                           "; lower the batch size, the beam size or max_length, or raise memory_limit");
  }
  while (other_bytes + search_bytes() + bytes() + needed() > *memory_limit_ &&
         drop_oldest({in_use}, stream)) {
  }
}

bool Stages::drop_oldest(std::initializer_list<const Stage*> needed, cudaStream_t stream) {
  const auto oldest = std::find_if(entries_.rbegin(), entries_.rend(), [needed](const Entry& entry) {
    return std::find(needed.begin(), needed.end(), entry.stage.get()) == needed.end();
  });
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

size_t Stages::search_bytes() const {
  size_t total = 0;
  for (const auto& [key, search] : searches_) {
    if (const auto alive = search.lock()) total += alive->bytes();
  }
  return total;
}

}  // namespace nmt_trt
