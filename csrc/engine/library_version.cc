#include "engine/library_version.h"

namespace nmt_trt {
namespace {

constexpr int32_t kFirstRtx = 10000;
constexpr int32_t kFirstTensorRt10 = 100000;

const char* title_of(Flavour flavour) {
  return flavour == Flavour::kTensorRtRtx ? "TensorRT-RTX " : "TensorRT ";
}

}  // namespace

const char* name_of(Flavour flavour) {
  return flavour == Flavour::kTensorRtRtx ? "tensorrt-rtx" : "tensorrt";
}

LibraryVersion decode_version(int32_t number) {
  if (number < kFirstRtx) {
    return {Flavour::kTensorRt, number / 1000, number / 100 % 10, number % 100};
  }
  const Flavour flavour = number < kFirstTensorRt10 ? Flavour::kTensorRtRtx : Flavour::kTensorRt;
  return {flavour, number / 10000, number / 100 % 100, number % 100};
}

std::string number_of(const LibraryVersion& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
         std::to_string(version.patch);
}

std::string to_string(const LibraryVersion& version) {
  return title_of(version.flavour) + number_of(version);
}

bool fits(const LibraryVersion& headers, const LibraryVersion& library) {
  if (headers.flavour != library.flavour || headers.major != library.major) return false;
  return headers.flavour == Flavour::kTensorRtRtx ? library.minor == headers.minor
                                                  : library.minor >= headers.minor;
}

std::string fitting_versions(const LibraryVersion& headers) {
  const std::string major = std::to_string(headers.major);
  const std::string least = title_of(headers.flavour) + major + "." + std::to_string(headers.minor);
  return headers.flavour == Flavour::kTensorRtRtx ? least + ".x" : least + " to " + major + ".x";
}

}  // namespace nmt_trt
