#include "engine/open_library.h"

#include <optional>

#include "core/errors.h"
#include "engine/library_version.h"
#include "engine/shim/interface.h"
#include "engine/tensorrt_library.h"

namespace nmt_trt {
namespace {

struct Shim {
  LibraryVersion headers;
  ShimOpen open;
};

Shim load_shim(const std::string& path) {
  const SharedObject object("an engine shim", path);
  const auto headers = object.find<ShimHeaders>(kShimHeaders);
  const auto open = object.find<ShimOpen>(kShimOpen);
  if (headers == nullptr || open == nullptr) throw EngineError(path + " is not an engine shim");
  return {decode_version(headers()), open};
}

std::vector<Shim> load_shims(const std::vector<std::string>& paths) {
  std::vector<Shim> shims;
  for (const std::string& path : paths) shims.push_back(load_shim(path));
  return shims;
}

std::optional<Shim> newest_that_fits(const std::vector<Shim>& shims, const LibraryVersion& library) {
  std::optional<Shim> best;
  for (const Shim& shim : shims) {
    if (!fits(shim.headers, library)) continue;
    if (!best || shim.headers.minor > best->headers.minor) best = shim;
  }
  return best;
}

[[noreturn]] void refuse(const TensorRtLibrary& library, const std::vector<Shim>& shims) {
  std::string known;
  for (const Shim& shim : shims) known += (known.empty() ? "" : ", ") + fitting_versions(shim.headers);
  if (known.empty()) known = "no version: it was built without TensorRT's headers";
  throw EngineError(library.object.path() + " is " + to_string(library.version) +
                    "; this build of nmt_trt fits " + known +
                    ". Install a TensorRT that fits, or build nmt_trt with the headers of " +
                    to_string(library.version) + " (-DTensorRT_ROOT=<its folder>)");
}

}  // namespace

std::shared_ptr<EngineLibrary> open_engine_library(const EngineLibraryOptions& options) {
  const TensorRtLibrary library(options.library);
  const std::vector<Shim> shims = load_shims(options.shims);
  const auto shim = newest_that_fits(shims, library.version);
  if (!shim) refuse(library, shims);
  return std::shared_ptr<EngineLibrary>(shim->open(options));
}

}  // namespace nmt_trt
