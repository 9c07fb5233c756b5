#pragma once

namespace nmt_trt {

/// Throws EngineError "no CUDA device: ..." with the driver's text when there is none. TensorRT must not be
/// asked for anything before: without a driver, some versions hand out objects that crash.
void require_cuda_device();

}  // namespace nmt_trt
