#include "cuda/device.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "core/errors.h"
#include "cuda/check.h"
#include "cuda/device_buffer.h"
#include "cuda/gpu.h"
#include "cuda/mapped.h"
#include "support.h"

namespace nmt_trt {
namespace {

using namespace testing;

TEST(Check, SaysWhatFailedAndWhere) {
  const std::string text = message_of<CudaError>(
      [] { cuda::check(cudaErrorInvalidValue, "cudaCall(1)", "/x/csrc/cuda/y.cc", 12); });
  EXPECT_EQ(text, "cudaCall(1) failed at csrc/cuda/y.cc:12: invalid argument (cudaErrorInvalidValue)");
  EXPECT_THROW(NMT_TRT_CUDA(cudaErrorMemoryAllocation), OutOfMemoryError);
  EXPECT_NO_THROW(NMT_TRT_CUDA(cudaSuccess));
}

TEST(DeviceBuffer, OfNothingNeedsNoDevice) {
  const cuda::DeviceBuffer buffer(0);
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(buffer.bytes(), 0U);
}

class DeviceMemoryTest : public CudaTest {};

TEST_F(DeviceMemoryTest, OutOfMemorySaysWhatWasWantedAndWhatToLower) {
  size_t free = 0;
  size_t total = 0;
  NMT_TRT_CUDA(cudaMemGetInfo(&free, &total));
  const size_t wanted = 2 * total;
  const std::string text = message_of<OutOfMemoryError>([wanted] { cuda::DeviceBuffer{wanted}; });
  EXPECT_NE(text.find(std::to_string(wanted) + " bytes were wanted"), std::string::npos) << text;
  EXPECT_NE(text.find(" of " + std::to_string(total) + " bytes are free"), std::string::npos) << text;
  EXPECT_NE(text.find("lower the batch size, the beam size or the maximum length"), std::string::npos)
      << text;
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_NO_THROW(cuda::DeviceBuffer{1024});
}

TEST_F(DeviceMemoryTest, BuffersMove) {
  cuda::DeviceBuffer first(256);
  void* address = first.data();
  ASSERT_NE(address, nullptr);
  cuda::DeviceBuffer second = std::move(first);
  EXPECT_EQ(second.data(), address);
  EXPECT_EQ(second.bytes(), 256U);
  second = cuda::DeviceBuffer(512);
  EXPECT_EQ(second.bytes(), 512U);
}

TEST_F(DeviceMemoryTest, MappedMemoryIsSeenByBoth) {
  cuda::Mapped<int32_t> number;
  EXPECT_EQ(*number.host(), 0);
  const DeviceArray<int32_t> other(1);
  NMT_TRT_CUDA(cudaMemcpy(number.device(), other.data(), sizeof(int32_t), cudaMemcpyDefault));
  NMT_TRT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(*const_cast<const volatile int32_t*>(number.host()), -1);
}

TEST_F(DeviceMemoryTest, PinnedMemoryIsZeroed) {
  cuda::Pinned<int64_t> numbers(3);
  EXPECT_EQ(numbers.bytes(), 24U);
  for (const int64_t number : numbers) EXPECT_EQ(number, 0);
}

TEST_F(DeviceMemoryTest, TheCurrentDeviceComesBack) {
  int before = -1;
  NMT_TRT_CUDA(cudaGetDevice(&before));
  {
    const cuda::OnDevice scope(0);
    int within = -1;
    NMT_TRT_CUDA(cudaGetDevice(&within));
    EXPECT_EQ(within, 0);
  }
  int after = -1;
  NMT_TRT_CUDA(cudaGetDevice(&after));
  EXPECT_EQ(after, before);
  EXPECT_THROW(cuda::OnDevice{1000}, CudaError);
  cudaGetLastError();
}

}  // namespace
}  // namespace nmt_trt
