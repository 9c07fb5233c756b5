#include "core/nemo_policy.h"

#include <algorithm>

namespace nmt_trt {
namespace {

constexpr float kEndedFactor = 10001.0F;  // 1 - NEG_INF with NeMo's NEG_INF of -10000
constexpr int32_t kFirstLength = 3;

}  // namespace

NemoPolicy::NemoPolicy(const SearchOptions& options)
    : beam_size_(options.beam_size),
      eos_(options.eos),
      pad_(options.pad),
      other_length_(is_word(options.bos) ? 2 : 1),
      penalty_(options.length_penalty) {}

void NemoPolicy::start(const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  for (int32_t k = 0; k < beam_size_; ++k) {
    const Slot slot{top[k].log_prob, penalty_(kFirstLength), is_word(top[k].token) ? 1 : 0, false};
    moves.push_back({k, top[k].token, slot, top[k].log_prob});
  }
}

void NemoPolicy::advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  for (int32_t parent = 0; parent < beam_size_; ++parent) {
    const Slot& slot = beam.slot(parent);
    for (int32_t i = 0; i < beam_size_; ++i) {
      const Candidate& candidate = top[parent * beam_size_ + i];
      const float factor = !slot.ended ? 1.0F : (i == 0 ? 0.0F : kEndedFactor);
      const float sum = slot.sum + candidate.log_prob * factor;
      const int32_t token = slot.ended ? pad_ : candidate.token;
      const int32_t words = slot.words + (is_word(token) ? 1 : 0);
      Move move{parent, token, Slot{sum, slot.penalty, words, !is_word(token)}};
      if (!slot.ended) move.log_prob = candidate.log_prob;
      moves.push_back(move);
    }
  }
  std::stable_sort(moves.begin(), moves.end(),
                   [](const Move& a, const Move& b) { return a.slot.score() > b.slot.score(); });
  moves.resize(static_cast<size_t>(beam_size_));
  for (int32_t k = 0; k < beam_size_; ++k) {
    Slot& slot = moves[static_cast<size_t>(k)].slot;
    slot.sum = slot.score() * beam.slot(k).penalty;
    slot.penalty = penalty_(slot.words + other_length_);
  }
}

}  // namespace nmt_trt
