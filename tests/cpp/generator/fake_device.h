#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace nmt_trt::testing {

/// One piece of work: a copy, a kernel or the run of an engine.
using Job = std::function<void()>;

/// When the device works.
enum class Pace {
  kOnDemand,  // while the host waits for it, and not all at once even then
  kAtOnce,    // at every call; nothing is ever under way
  kRandom,    // as much as chance gives, at every call and at every look of the host at its progress
};

/// A decoder step as it was launched.
struct StepLaunch {
  int32_t rows;      // sentences
  int32_t capacity;  // of the cache, in tokens

  bool operator==(const StepLaunch& other) const { return rows == other.rows && capacity == other.capacity; }
};

/// What the host has had made and not yet destroyed.
struct Holdings {
  int32_t device_buffers, host_buffers, streams, events, graphs, executables, engines, contexts;
  size_t device_bytes;

  int32_t total() const {
    return device_buffers + host_buffers + streams + events + graphs + executables + engines + contexts;
  }
};

/// What was made since the device began, whether or not it is still there.
struct Makings {
  int32_t device_buffers, host_buffers, executables, contexts;

  bool operator==(const Makings& other) const {
    return device_buffers == other.device_buffers && host_buffers == other.host_buffers &&
           executables == other.executables && contexts == other.contexts;
  }
};

/// A piece of recorded work.
struct RecordedJob {
  cudaGraphNodeType type;
  Job job;
};

/// Work recorded from a stream.
struct RecordedWork {
  std::vector<RecordedJob> jobs;
  std::optional<StepLaunch> step;
};

/// A device made of host memory, on which whatever is launched waits in a queue until the device gets round
/// to it. Everything happens in the thread that calls, so a seed repeats a run exactly.
class FakeDevice {
 public:
  /// Forgets everything but what is still held.
  void restart(Pace pace = Pace::kRandom, uint32_t seed = 1);
  void set_pace(Pace pace, uint32_t seed = 1);

  // What tests set and ask.

  size_t memory = size_t{1} << 40U;
  /// The device that calls go to.
  int current = 0;
  Holdings holdings{};
  Makings makings{};
  std::vector<StepLaunch> steps;
  /// Tokens that encoders ran on, run by run.
  std::vector<int32_t> encoded;
  /// How often several models' probabilities were averaged.
  int32_t averages = 0;
  /// What was done that CUDA or TensorRT forbids.
  std::vector<std::string> violations;
  /// How often each function was called that CUDA has, or that works on the device; see call().
  std::map<std::string, int32_t> called;
  /// Calls so far that can fail, and which of them is to fail in what way.
  int32_t calls = 0;
  int32_t failing_call = -1;
  cudaError_t failure = cudaSuccess;

  // For the fakes.

  /// To be called by everything that can fail, with its name: its status. Some time passes.
  cudaError_t call(const char* name, bool may_be_captured = true);
  /// Gives the device work, or records it as a node of this type.
  void give(cudaStream_t stream, cudaGraphNodeType type, Job job);
  /// What is recorded is a decoder step.
  void note_step(const StepLaunch& step);
  void launch(const RecordedWork& work);
  /// The first device is the current one, or else.
  void check_current();
  /// Whether `end` is in the buffer of device memory that `start` is in, or its end.
  static bool in_same_buffer(const void* start, const void* end);
  /// The device does all that it was given; or some of it, at least one job, as it pleases.
  void finish();
  bool finish_some();
  void pass_time();

  bool begin_capture(cudaStream_t stream);
  /// Nothing when the capture has failed, or there is none.
  std::optional<RecordedWork> end_capture();
  bool captures() const { return capturing_ != nullptr; }
  void forbid(const std::string& what) { violations.push_back(what); }

 private:
  void work(size_t jobs);

  Pace pace_ = Pace::kRandom;
  std::mt19937 random_;
  uint32_t mood_ = 0;  // how many jobs in `kHaste` are done before the device looks away
  bool working_ = false;
  std::deque<Job> queue_;
  cudaStream_t capturing_ = nullptr;
  bool capture_failed_ = false;
  RecordedWork recorded_;
};

FakeDevice& device();

}  // namespace nmt_trt::testing
