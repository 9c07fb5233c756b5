#include "engine/shim/logger.h"

#include <algorithm>
#include <list>
#include <utility>

namespace nmt_trt {
namespace {

constexpr size_t kErrorsKept = 8;
constexpr size_t kLongestError = 1000;

}  // namespace

Logger& Logger::make() {
  static std::mutex mutex;
  static auto& loggers = *new std::list<Logger>;
  const std::lock_guard<std::mutex> lock(mutex);
  return loggers.emplace_back();
}

// No exception may reach TensorRT.
void Logger::log(Severity severity, const nvinfer1::AsciiChar* message) noexcept {
  try {
    if (severity <= Severity::kERROR) remember(message);
    std::shared_ptr<const LogFunction> function;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      function = function_;
    }
    if (function) (*function)(static_cast<int>(severity), message);
  } catch (...) {
  }
}

void Logger::remember(const char* message) {
  std::string text(message);
  if (text.size() > kLongestError) text = text.substr(0, kLongestError) + "...";
  const std::lock_guard<std::mutex> lock(mutex_);
  errors_.push_back(std::move(text));
  if (errors_.size() > kErrorsKept) errors_.pop_front();
  ++count_;
}

uint64_t Logger::mark() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return count_;
}

std::string Logger::errors_since(uint64_t mark) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t recent = std::min<uint64_t>(count_ - mark, errors_.size());
  std::string text;
  for (size_t i = errors_.size() - recent; i < errors_.size(); ++i) {
    text += (text.empty() ? ": " : "; ") + errors_[i];
  }
  return text;
}

void Logger::forward_to(LogFunction function) {
  const auto shared = function ? std::make_shared<const LogFunction>(std::move(function)) : nullptr;
  const std::lock_guard<std::mutex> lock(mutex_);
  function_ = shared;
}

}  // namespace nmt_trt
