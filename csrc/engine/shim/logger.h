#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "engine/open_library.h"

namespace nmt_trt {

/// Passes TensorRT's messages on and remembers the last errors among them. Thread-safe.
class Logger final : public nvinfer1::ILogger {
 public:
  /// A logger that lives until the process ends: TensorRT keeps the first one that it is given for messages
  /// that belong to no object.
  static Logger& make();

  void log(Severity severity, const nvinfer1::AsciiChar* message) noexcept override;

  /// The number of errors so far.
  uint64_t mark() const;
  /// ": first; second", those that came after the mark (the last few, shortened), or nothing.
  std::string errors_since(uint64_t mark) const;
  /// Where messages go from now on; nowhere if `function` is empty, as at first.
  void forward_to(LogFunction function);

 private:
  void remember(const char* message);

  mutable std::mutex mutex_;
  std::shared_ptr<const LogFunction> function_;
  std::deque<std::string> errors_;
  uint64_t count_ = 0;
};

}  // namespace nmt_trt
