#pragma once

namespace nmt_trt::cuda {

/// Makes a device the current one of this thread for as long as it lives.
class OnDevice {
 public:
  /// Throws CudaError.
  explicit OnDevice(int device);
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice();

 private:
  int before_ = 0;
};

}  // namespace nmt_trt::cuda
