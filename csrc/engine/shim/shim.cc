#include "core/errors.h"
#include "engine/shim/interface.h"
#include "engine/shim/library.h"

// The functions that open_library.cc looks up; kShimHeaders and kShimOpen are their names.
extern "C" {

NMT_TRT_VISIBLE int32_t nmt_trt_shim_headers() { return NV_TENSORRT_VERSION; }

NMT_TRT_VISIBLE nmt_trt::EngineLibrary* nmt_trt_shim_open(const nmt_trt::EngineLibraryOptions& options) {
  return new nmt_trt::Library(options);
}
}
