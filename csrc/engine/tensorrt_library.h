#pragma once

#include <string>

#include "engine/library_version.h"
#include "engine/shared_object.h"

namespace nmt_trt {

/// A TensorRT library whose version is known; nothing else of it has been called.
struct TensorRtLibrary {
  /// Throws EngineError: it cannot be opened, or is something else.
  explicit TensorRtLibrary(const std::string& path);

  SharedObject object;
  LibraryVersion version;
};

}  // namespace nmt_trt
