#pragma once

#include <sstream>
#include <string>
#include <vector>

namespace nmt_trt::testing {

/// The shims built with these tests; none where there are no TensorRT headers.
inline std::vector<std::string> shims() {
  std::vector<std::string> paths;
  std::istringstream list(NMT_TRT_TEST_SHIMS);
  for (std::string path; std::getline(list, path, ':');) paths.push_back(path);
  return paths;
}

}  // namespace nmt_trt::testing
