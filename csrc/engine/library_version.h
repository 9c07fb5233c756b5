#pragma once

#include <cstdint>
#include <string>

namespace nmt_trt {

enum class Flavour { kTensorRt, kTensorRtRtx };

/// "tensorrt", "tensorrt-rtx"
const char* name_of(Flavour flavour);

/// Version of a TensorRT library or of a set of its headers.
struct LibraryVersion {
  Flavour flavour;
  int32_t major;
  int32_t minor;
  int32_t patch;
};

/// From what getInferLibVersion() returns and NV_TENSORRT_VERSION says: 101401 is TensorRT 10.14.1, 10400 is
/// TensorRT-RTX 1.4.0 (the same digits; TensorRT itself went that way from 10.0 on), 8601 is TensorRT 8.6.1.
LibraryVersion decode_version(int32_t number);

/// "10.14.1"
std::string number_of(const LibraryVersion& version);
/// "TensorRT 10.14.1", "TensorRT-RTX 1.4.0"
std::string to_string(const LibraryVersion& version);

/// Whether code compiled with these headers may call this library. The binary interface changes with every
/// major version of TensorRT and every minor one of TensorRT-RTX.
bool fits(const LibraryVersion& headers, const LibraryVersion& library);
/// The versions that fit: "TensorRT 10.14 to 10.x", "TensorRT-RTX 1.4.x"
std::string fitting_versions(const LibraryVersion& headers);

}  // namespace nmt_trt
