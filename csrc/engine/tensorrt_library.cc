#include "engine/tensorrt_library.h"

#include "core/errors.h"

namespace nmt_trt {
namespace {

LibraryVersion version_of(const SharedObject& object) {
  const auto version = object.find<int32_t (*)()>("getInferLibVersion");
  if (version == nullptr) {
    throw EngineError(object.path() + " is not a TensorRT library: it has no getInferLibVersion");
  }
  return decode_version(version());
}

}  // namespace

TensorRtLibrary::TensorRtLibrary(const std::string& path)
    : object("the TensorRT library", path), version(version_of(object)) {}

}  // namespace nmt_trt
