#pragma once

#include <cstddef>
#include <functional>

namespace nmt_trt {

/// call(0) to call(count - 1) on as many threads as the machine has, all on the caller's CUDA device. Waits
/// for all; then throws what one of them threw, if any did: calls may be left out after that. Throws
/// EngineError when CUDA fails.
void in_parallel(size_t count, const std::function<void(size_t)>& call);

}  // namespace nmt_trt
