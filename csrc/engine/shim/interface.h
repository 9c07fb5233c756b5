#pragma once

#include <cstdint>

#include "core/engine.h"
#include "engine/open_library.h"

namespace nmt_trt {

/// The functions that every shim exports, found by name.
inline constexpr char kShimHeaders[] = "nmt_trt_shim_headers";
inline constexpr char kShimOpen[] = "nmt_trt_shim_open";

extern "C" {

/// NV_TENSORRT_VERSION of the headers that the shim was compiled with; decode_version() tells the flavour
/// too.
using ShimHeaders = int32_t (*)();

/// Opens options.library, which must fit the shim; the caller owns what it returns. Throws EngineError.
using ShimOpen = EngineLibrary* (*)(const EngineLibraryOptions& options);
}

}  // namespace nmt_trt
