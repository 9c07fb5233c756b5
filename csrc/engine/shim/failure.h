#pragma once

#include <cstdint>
#include <string>

#include "engine/shim/logger.h"

namespace nmt_trt {

/// Throws OutOfMemoryError if TensorRT has logged since the mark that memory ran out, else EngineError; the
/// text is `problem` followed by what was logged.
[[noreturn]] void fail(const Logger& logger, uint64_t mark, const std::string& problem);

}  // namespace nmt_trt
