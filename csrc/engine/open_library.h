#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/engine.h"

namespace nmt_trt {

/// How much a message of TensorRT matters; its own numbers.
enum LogSeverity : int { kLogInternalError = 0, kLogError, kLogWarning, kLogInfo };

/// Takes a message of TensorRT, valid during the call. May be called from any thread, several at once, and
/// what it throws is dropped. While it runs no lock of ours is held.
using LogFunction = std::function<void(int severity, const char* message)>;

struct EngineLibraryOptions {
  /// Paths of the shims: libnmt_trt_engine_<flavour>_<major>_<minor>.so.
  std::vector<std::string> shims;
  /// The TensorRT library: a path, or a name that the dynamic linker searches for.
  std::string library;
  /// Gets every message of TensorRT; may be empty.
  LogFunction log;
};

/// Opens the library with the shim that was compiled for it, of several the one with the newest headers.
/// Throws EngineError: the library cannot be opened, is something else, or has a version for which there is
/// no shim; there is no CUDA device; TensorRT refuses.
std::shared_ptr<EngineLibrary> open_engine_library(const EngineLibraryOptions& options);

}  // namespace nmt_trt
