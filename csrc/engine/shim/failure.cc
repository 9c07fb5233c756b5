#include "engine/shim/failure.h"

#include <cctype>

#include "core/errors.h"

namespace nmt_trt {
namespace {

// "Error Code 2: OutOfMemory (Requested size was ...)", "Error Code 1: Cuda Runtime (out of memory)"
bool tells_of_memory(const std::string& errors) {
  std::string letters;
  for (const char c : errors) {
    if (std::isalpha(static_cast<unsigned char>(c))) letters += static_cast<char>(std::tolower(c));
  }
  return letters.find("outofmemory") != std::string::npos;
}

}  // namespace

void fail(const Logger& logger, uint64_t mark, const std::string& problem) {
  const std::string errors = logger.errors_since(mark);
  if (tells_of_memory(errors)) {
    throw OutOfMemoryError(problem + ": out of GPU memory; free some, or use engines for smaller batches" +
                           errors);
  }
  throw EngineError(problem + (errors.empty() ? "; TensorRT logged no reason" : errors));
}

}  // namespace nmt_trt
