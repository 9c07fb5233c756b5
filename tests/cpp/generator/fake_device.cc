#include "fake_device.h"

#include <limits>
#include <utility>

#include "watched_memory.h"

namespace nmt_trt::testing {
namespace {

constexpr uint32_t kHaste = 64;
constexpr uint32_t kMoodLasts = 24;
constexpr uint32_t kBurst = 16;  // once in so many times it does everything

}  // namespace

FakeDevice& device() {
  static FakeDevice the_device;
  return the_device;
}

void FakeDevice::restart(Pace pace, uint32_t seed) {
  finish();
  const Holdings held = holdings;
  *this = FakeDevice();
  holdings = held;
  set_pace(pace, seed);
}

void FakeDevice::set_pace(Pace pace, uint32_t seed) {
  pace_ = pace;
  random_.seed(seed);
  mood_ = 0;
  watch(pace == Pace::kRandom ? [] { device().pass_time(); } : std::function<void()>());
}

cudaError_t FakeDevice::call(const char* name, bool may_be_captured) {
  ++called[name];
  watch_again();
  pass_time();
  if (captures() && !may_be_captured) {
    capture_failed_ = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  return calls++ == failing_call ? failure : cudaSuccess;
}

void FakeDevice::give(cudaStream_t stream, cudaGraphNodeType type, Job job) {
  check_current();
  if (captures() && stream == capturing_) {
    recorded_.jobs.push_back({type, std::move(job)});
  } else {
    queue_.push_back(std::move(job));
  }
}

void FakeDevice::check_current() {
  if (current != 0) forbid("work or memory is asked of another device than the first");
}

void FakeDevice::note_step(const StepLaunch& step) {
  if (captures()) recorded_.step = step;
}

void FakeDevice::launch(const RecordedWork& work) {
  check_current();
  for (const RecordedJob& recorded : work.jobs) queue_.push_back(recorded.job);
  if (work.step) steps.push_back(*work.step);
}

void FakeDevice::work(size_t jobs) {
  if (working_) return;
  working_ = true;
  for (; jobs > 0 && !queue_.empty(); --jobs) {
    const Job job = std::move(queue_.front());
    queue_.pop_front();
    job();
  }
  working_ = false;
}

void FakeDevice::finish() { work(std::numeric_limits<size_t>::max()); }

bool FakeDevice::finish_some() {
  work(1 + random_() % 16);
  return queue_.empty();
}

void FakeDevice::pass_time() {
  if (pace_ == Pace::kOnDemand || queue_.empty()) return;
  if (pace_ == Pace::kAtOnce) return finish();
  if (random_() % kBurst == 0) return finish();
  if (random_() % kMoodLasts == 0) mood_ = random_() % (kHaste + 1);
  size_t jobs = 0;
  while (jobs < queue_.size() && random_() % kHaste < mood_) ++jobs;
  work(jobs);
}

bool FakeDevice::begin_capture(cudaStream_t stream) {
  if (captures()) return false;
  capturing_ = stream;
  capture_failed_ = false;
  recorded_ = {};
  return true;
}

std::optional<RecordedWork> FakeDevice::end_capture() {
  const bool recorded = captures() && !capture_failed_;
  capturing_ = nullptr;
  if (!recorded) return std::nullopt;
  return std::exchange(recorded_, {});
}

}  // namespace nmt_trt::testing
