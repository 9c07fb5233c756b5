#include "engine/open_library.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "../support.h"
#include "core/errors.h"
#include "shims.h"

namespace nmt_trt {
namespace {

using testing::message_of;
using testing::shims;

EngineLibraryOptions with(const std::string& library) {
  EngineLibraryOptions options;
  options.shims = shims();
  options.library = library;
  return options;
}

std::string complaint(const EngineLibraryOptions& options) {
  return message_of<EngineError>([&] { open_engine_library(options); });
}

#define EXPECT_IN(part, text) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(OpenLibrary, MissingLibrary) {
  const std::string text = complaint(with("/nowhere/libnvinfer.so.10"));
  EXPECT_IN("cannot open the TensorRT library: /nowhere/libnvinfer.so.10: cannot open shared object file",
            text);
}

TEST(OpenLibrary, SomethingElse) {
  EXPECT_EQ(complaint(with("libm.so.6")),
            "libm.so.6 is not a TensorRT library: it has no getInferLibVersion");
}

TEST(OpenLibrary, VersionWithoutShim) {
  const std::string text = complaint(with(NMT_TRT_FAKE_UNKNOWN));
  EXPECT_IN("is TensorRT 99.1.1; this build of nmt_trt fits ", text);
  EXPECT_IN("Install a TensorRT that fits, or build nmt_trt with the headers of TensorRT 99.1.1", text);
  for (const std::string& shim : shims()) {
    const std::string flavour =
        shim.find("tensorrt_rtx") == std::string::npos ? "TensorRT " : "TensorRT-RTX ";
    std::string version = shim.substr(shim.rfind("tensorrt_"));
    version = version.substr(version.find_first_of("0123456789"));
    version = version.substr(0, version.find('.'));
    version[version.find('_')] = '.';
    EXPECT_IN(flavour + version, text);
  }
}

TEST(OpenLibrary, BuildWithoutShims) {
  auto options = with(NMT_TRT_FAKE_UNKNOWN);
  options.shims.clear();
  EXPECT_IN("this build of nmt_trt fits no version: it was built without TensorRT's headers",
            complaint(options));
}

TEST(OpenLibrary, BadShims) {
  auto options = with(NMT_TRT_FAKE_UNKNOWN);
  options.shims = {"/nowhere/libnmt_trt_engine_tensorrt_10_14.so"};
  EXPECT_IN("cannot open an engine shim: /nowhere/libnmt_trt_engine_tensorrt_10_14.so", complaint(options));
  options.shims = {"libm.so.6"};
  EXPECT_EQ(complaint(options), "libm.so.6 is not an engine shim");
}

#ifdef NMT_TRT_FAKE_FITTING

// In a process of its own, which hides the GPU from itself if there is one.
TEST(OpenLibraryDeathTest, NoDevice) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto child = [] {
    setenv("CUDA_VISIBLE_DEVICES", "", 1);
    std::fputs(complaint(with(NMT_TRT_FAKE_FITTING)).c_str(), stderr);
    std::exit(0);
  };
  EXPECT_EXIT(child(), ::testing::ExitedWithCode(0), "^no CUDA device: .+ \\(.*driver.*\\)$");
}

TEST(OpenLibrary, LibraryThatOnlyTellsItsVersion) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) GTEST_SKIP() << "no CUDA device";
  EXPECT_IN("is not a TensorRT library: it has no createInferRuntime_INTERNAL",
            complaint(with(NMT_TRT_FAKE_FITTING)));
}

#else

TEST(OpenLibrary, NeedsHeaders) { GTEST_SKIP() << "no engine shim: built without TensorRT headers"; }

#endif

}  // namespace
}  // namespace nmt_trt
