#include "generator/stages.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/errors.h"
#include "cuda/check.h"

namespace nmt_trt {
namespace {

template <typename Key, typename Value>
bool alive(const std::map<Key, std::weak_ptr<Value>>& known, const Key& key) {
  const auto found = known.find(key);
  return found != known.end() && !found->second.expired();
}

template <typename Key, typename Value>
size_t bytes_of(const std::map<Key, std::weak_ptr<Value>>& known) {
  size_t total = 0;
  for (const auto& [key, value] : known) {
    if (const auto held = value.lock()) total += held->bytes();
  }
  return total;
}

/// The one that somebody has, or make(key).
template <typename Key, typename Value, typename Make>
std::shared_ptr<Value> shared(std::map<Key, std::weak_ptr<Value>>& known, const Key& key, Make make) {
  std::shared_ptr<Value> value = known[key].lock();
  if (!value) {
    value = make(key);
    known[key] = value;
  }
  return value;
}

}  // namespace

Stages::Stages(Ensemble& ensemble, std::optional<size_t> memory_limit)
    : ensemble_(ensemble), memory_limit_(memory_limit) {}

std::shared_ptr<SearchMemory> Stages::search_for(const SearchOptions& options, int32_t sentences,
                                                 cudaStream_t stream) {
  auto search = shared(searches_, SearchKey::of(options), [&](const SearchKey& key) {
    return with_room({}, kNoTokens, stream, [&] {
      return std::make_shared<SearchMemory>(ensemble_.common(), key, sentences,
                                            ensemble_.common().max_positions, stream);
    });
  });
  with_room({}, kNoTokens, stream, [&] { search->reserve(options, stream); });
  return search;
}

Stage& Stages::get(const StageKey& key, const std::shared_ptr<SearchMemory>& search, size_t other_bytes,
                   const Stage* in_use, int32_t tokens, cudaStream_t stream) {
  const auto made = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.search == search && entry.key == key;
  });
  if (made != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, made);
    entries_.front().used = ++uses_;
    Stage& stage = *entries_.front().stage;
    // The encoder may be missing, and the search may have grown for the batch.
    if (tokens != kNoTokens) make_room(key, *search, other_bytes, &stage, in_use, tokens, stream);
    return stage;
  }
  make_room(key, *search, other_bytes, nullptr, in_use, tokens, stream);
  auto stage = with_room({in_use}, tokens, stream, [&] {
    return std::make_unique<Stage>(key, ensemble_, engines_for(key, stream), search->state(), stream);
  });
  entries_.push_front({key, search, std::move(stage), ++uses_});
  return *entries_.front().stage;
}

std::shared_ptr<EnsembleSteps> Stages::engines_for(const StageKey& key, cudaStream_t stream) {
  return shared(engines_, key.rows * key.beam_size,
                [&](int32_t rows) { return std::make_shared<EnsembleSteps>(rows, ensemble_, stream); });
}

std::shared_ptr<EnsembleEncoders> Stages::encoder_for(int32_t tokens, cudaStream_t stream) {
  auto encoder = shared(encoders_, tokens, [&](int32_t number) {
    return std::make_shared<EnsembleEncoders>(number, ensemble_, stream);
  });
  encoders_used_[tokens] = ++uses_;
  return encoder;
}

// Under memory_limit. What can never fit drives nothing out. `made`: the stage, if it is there. A batch that
// has begun in `in_use` needs its encoders no more.
void Stages::make_room(const StageKey& key, const SearchMemory& search, size_t other_bytes, const Stage* made,
                       const Stage* in_use, int32_t tokens, cudaStream_t stream) {
  if (!memory_limit_) return;
  const size_t own = Stage::bytes_needed(key, search.state().candidates, ensemble_);
  const int32_t rows = key.rows * key.beam_size;
  const size_t steps = EnsembleSteps::bytes_needed(rows, ensemble_);
  const size_t encoder = tokens == kNoTokens ? 0 : EnsembleEncoders::bytes_needed(tokens, ensemble_);
  const auto needed = [&] {
    return (made != nullptr ? 0 : own) + (alive(engines_, rows) ? 0 : steps) +
           (alive(encoders_, tokens) ? 0 : encoder);
  };
  size_t least = other_bytes + search.bytes() + own + steps + encoder;
  if (in_use != nullptr) least += in_use->bytes() + shared_bytes(*in_use, key);
  if (least > *memory_limit_) {
    throw OutOfMemoryError("this batch needs " + std::to_string(least) +
                           " bytes of GPU memory, and memory_limit is " + std::to_string(*memory_limit_) +
                           "; lower the batch size, the beam size or max_length, or raise memory_limit");
  }
  while (other_bytes + search_bytes() + bytes() + needed() > *memory_limit_ &&
         drop_oldest({in_use, made}, tokens, stream)) {
  }
}

// Of the decoder's engines that `stage` has and that one of `key` does not share.
size_t Stages::shared_bytes(const Stage& stage, const StageKey& key) const {
  const StageKey& used = stage.key();
  return used.rows == key.rows ? 0 : EnsembleSteps::bytes_needed(used.rows * used.beam_size, ensemble_);
}

// A stage goes with the encoders that no other shares, an encoder from all stages that have it.
bool Stages::drop_oldest(std::initializer_list<const Stage*> needed, int32_t tokens, cudaStream_t stream) {
  const auto oldest = std::find_if(entries_.rbegin(), entries_.rend(), [needed](const Entry& entry) {
    return std::find(needed.begin(), needed.end(), entry.stage.get()) == needed.end();
  });
  const bool no_stage = oldest == entries_.rend();
  const std::optional<int32_t> encoder = oldest_encoder(tokens);
  if (no_stage && !encoder) return false;
  NMT_TRT_CUDA(cudaStreamSynchronize(stream));
  if (encoder && (no_stage || encoders_used_.at(*encoder) < oldest->used)) {
    for (Entry& entry : entries_) entry.stage->give_up_encoder(*encoder);
  } else {
    entries_.erase(std::next(oldest).base());
  }
  return true;
}

// Its tokens, if there is one beside that of `needed`.
std::optional<int32_t> Stages::oldest_encoder(int32_t needed) const {
  std::optional<int32_t> oldest;
  for (const auto& [tokens, encoder] : encoders_) {
    if (tokens == needed || encoder.expired()) continue;
    if (!oldest || encoders_used_.at(tokens) < encoders_used_.at(*oldest)) oldest = tokens;
  }
  return oldest;
}

size_t Stages::bytes() const {
  size_t total = 0;
  for (const Entry& entry : entries_) total += entry.stage->bytes();
  return total + bytes_of(engines_) + bytes_of(encoders_);
}

size_t Stages::search_bytes() const { return bytes_of(searches_); }

std::vector<StepGraph> Stages::step_graphs() const {
  std::vector<StepGraph> graphs;
  for (const Entry& entry : entries_) {
    const cuda::NodeCounts& nodes = entry.stage->step_nodes();
    if (nodes.total() > 0) graphs.push_back({entry.key, nodes, entry.stage->bytes()});
  }
  return graphs;
}

}  // namespace nmt_trt
