#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/beam.h"
#include "core/policy.h"
#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"
#include "cuda/search_logits.h"

namespace nmt_trt {
namespace {

using namespace testing;

size_t size(int64_t count) { return static_cast<size_t>(count); }

/// The CPU's policies, fed with the device's own candidates: everything must then be the same to the last
/// bit.
class Mirror {
 public:
  explicit Mirror(const SearchOptions& options) : options_(options), policy_(make_policy(options)) {
    for (size_t i = 0; i < options.max_lengths.size(); ++i) {
      beams_.emplace_back(options.beam_size, options.eos, options.pad);
    }
    finished_.assign(beams_.size(), 0);
  }

  // candidates: [R, K, K]
  void advance(const std::vector<Candidate>& candidates, const std::vector<int32_t>& sentence_of_row) {
    const size_t stride = size(options_.beam_size) * size(options_.beam_size);
    for (size_t row = 0; row < sentence_of_row.size(); ++row) {
      if (sentence_of_row[row] < 0) continue;
      const auto sentence = size(sentence_of_row[row]);
      Beam& beam = beams_[sentence];
      const Candidate* top = &candidates[row * stride];
      if (finished_[sentence] != 0) {
        beam.idle();
        continue;
      }
      if (steps_ == 0) {
        policy_->start(top, moves_);
      } else {
        policy_->advance(beam, top, moves_);
      }
      beam.extend(moves_);
    }
    ++steps_;
    update_finished();
  }

  bool done() const {
    return std::all_of(finished_.begin(), finished_.end(), [](uint8_t finished) { return finished != 0; });
  }

  void compare(const SearchSnapshot& given, const GpuStage& stage,
               const std::vector<int32_t>& sentence_of_row, int32_t capacity) const {
    ASSERT_EQ(given.steps, steps_);
    ASSERT_EQ(given.finished, finished_);
    ASSERT_EQ(given.active(), std::count(finished_.begin(), finished_.end(), uint8_t{0}));
    for (size_t sentence = 0; sentence < beams_.size(); ++sentence) {
      for (int32_t k = 0; k < options_.beam_size; ++k) {
        const size_t index = sentence * size(options_.beam_size) + size(k);
        const Slot& slot = beams_[sentence].slot(k);
        ASSERT_EQ(bits_of(given.slots[index].sum), bits_of(slot.sum)) << sentence << ", " << k;
        ASSERT_EQ(bits_of(given.slots[index].penalty), bits_of(slot.penalty)) << sentence << ", " << k;
        ASSERT_EQ(given.slots[index].words, slot.words) << sentence << ", " << k;
        ASSERT_EQ(given.slots[index].ended, slot.ended) << sentence << ", " << k;
        const auto& ancestry = beams_[sentence].ancestry(k);
        ASSERT_TRUE(std::equal(ancestry.begin(), ancestry.end(), &given.ancestry[index * size(capacity)]))
            << sentence << ", " << k;
      }
    }
    compare_inputs(stage, sentence_of_row);
  }

 private:
  void update_finished() {
    bool all = true;
    for (size_t i = 0; i < beams_.size(); ++i) {
      if (beams_[i].all_ended() || steps_ >= options_.max_lengths[i]) finished_[i] = 1;
      all = all && finished_[i] != 0;
    }
    if (policy_->ends_together()) std::fill(finished_.begin(), finished_.end(), all ? 1 : 0);
  }

  void compare_inputs(const GpuStage& stage, const std::vector<int32_t>& sentence_of_row) const {
    const auto token = stage.token.values();
    ASSERT_EQ(stage.position.values()[0], std::min(steps_, stage.inputs.max_position));
    for (size_t row = 0; row < sentence_of_row.size(); ++row) {
      const int32_t sentence = sentence_of_row[row];
      if (sentence < 0 || finished_[size(sentence)] != 0) continue;
      for (int32_t k = 0; k < options_.beam_size; ++k) {
        ASSERT_EQ(token[row * size(options_.beam_size) + size(k)], beams_[size(sentence)].last_token(k));
      }
    }
  }

  SearchOptions options_;
  std::unique_ptr<Policy> policy_;
  std::vector<Beam> beams_;
  std::vector<uint8_t> finished_;
  std::vector<Move> moves_;
  int32_t steps_ = 0;
};

class DevicePolicy : public CudaTest {};

void run(uint64_t seed) {
  constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16};
  Random random(seed + 1000000);
  const RandomSearch plan = random_search(random);
  const DataType type = kTypes[random.integer(0, 2)];
  const int32_t slots = plan.options.beam_size * plan.capacity;
  GpuSearch gpu(plan.options, static_cast<int32_t>(plan.sentence_of_row.size()), plan.capacity);
  GpuStage stage(plan.options, plan.sentence_of_row, slots);
  Mirror cpu(plan.options);
  gpu.start(stage);
  while (!cpu.done()) {
    bool settled = true;
    const StepLogits logits = draw_logits(random, plan.options, gpu.snapshot(), type, false, settled);
    const auto rows =
        rows_of(logits.values, plan.sentence_of_row, plan.options.beam_size * plan.options.vocab_size);
    gpu.step(stage, encode(rows, type), type);
    cpu.advance(stage.candidates.values(), plan.sentence_of_row);
    cpu.compare(gpu.snapshot(), stage, plan.sentence_of_row, plan.capacity);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST_F(DevicePolicy, IsTheCpusToTheLastBit) {
  const int32_t seeds = seed_count(200);
  for (int32_t seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    run(static_cast<uint64_t>(seed));
    if (HasFatalFailure()) break;
  }
}

// More steps than one part of the ancestry in shared memory has room for, beams crossing at every one of
// them.
TEST_F(DevicePolicy, FollowsLongAncestries) {
  Random random(7);
  SearchOptions options;
  options.beam_size = 32;
  options.num_hypotheses = 32;
  options.vocab_size = 64;
  options.eos = 0;
  options.pad = 1;
  options.bos = 2;
  constexpr int32_t kCapacity = 300;
  options.max_lengths = {kCapacity};
  GpuSearch gpu(options, 1, kCapacity);
  GpuStage stage(options, {0}, options.beam_size * kCapacity);
  Mirror cpu(options);
  gpu.start(stage);
  for (int32_t step = 0; step < kCapacity; ++step) {
    std::vector<float> logits(size(options.beam_size) * size(options.vocab_size));
    for (float& logit : logits) logit = random.bell();
    for (size_t row = 0; row < size(options.beam_size); ++row)
      logits[row * size(options.vocab_size)] = -100.0F;
    gpu.step(stage, encode(logits, DataType::kFloat32), DataType::kFloat32);
    cpu.advance(stage.candidates.values(), {0});
    // Past the second part's beginning; each comparison takes the host a while.
    if (step > 250 || step % 50 == 0) cpu.compare(gpu.snapshot(), stage, {0}, kCapacity);
    ASSERT_FALSE(HasFatalFailure()) << "step " << step;
  }
  EXPECT_TRUE(cpu.done());
}

}  // namespace
}  // namespace nmt_trt
