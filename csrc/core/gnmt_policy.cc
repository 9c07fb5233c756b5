#include "core/gnmt_policy.h"

namespace nmt_trt {

GnmtPolicy::GnmtPolicy(const SearchOptions& options)
    : beam_size_(options.beam_size), pad_(options.pad), choice_(options) {}

void GnmtPolicy::start(const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  choice_.propose(Slot::root(), 0, top, moves);
  choice_.keep_best(0, beam_size_, moves);
}

void GnmtPolicy::advance(const Beam& beam, const Candidate* top, std::vector<Move>& moves) const {
  moves.clear();
  for (int32_t k = 0; k < beam_size_; ++k) choice_.propose(beam.slot(k), k, top + k * beam_size_, moves);
  choice_.keep_best(0, beam_size_, moves);
}

}  // namespace nmt_trt
