#include "engine/library_version.h"

#include <gtest/gtest.h>

namespace nmt_trt {
namespace {

TEST(LibraryVersion, Decodes) {
  EXPECT_EQ(to_string(decode_version(101401)), "TensorRT 10.14.1");
  EXPECT_EQ(to_string(decode_version(110100)), "TensorRT 11.1.0");
  EXPECT_EQ(to_string(decode_version(10400)), "TensorRT-RTX 1.4.0");
  EXPECT_EQ(to_string(decode_version(10799)), "TensorRT-RTX 1.7.99");
  EXPECT_EQ(to_string(decode_version(8601)), "TensorRT 8.6.1");
  EXPECT_EQ(to_string(decode_version(9300)), "TensorRT 9.3.0");
  EXPECT_EQ(number_of(decode_version(101401)), "10.14.1");
  EXPECT_STREQ(name_of(decode_version(10400).flavour), "tensorrt-rtx");
  EXPECT_STREQ(name_of(decode_version(100001).flavour), "tensorrt");
}

TEST(LibraryVersion, TensorRtFitsHeadersOfItsMajorVersionThatAreNotNewer) {
  const auto headers = decode_version(101401);
  EXPECT_TRUE(fits(headers, decode_version(101400)));
  EXPECT_TRUE(fits(headers, decode_version(101600)));
  EXPECT_FALSE(fits(headers, decode_version(101303)));
  EXPECT_FALSE(fits(headers, decode_version(111400)));
  EXPECT_FALSE(fits(headers, decode_version(11400)));
  EXPECT_EQ(fitting_versions(headers), "TensorRT 10.14 to 10.x");
}

TEST(LibraryVersion, RtxFitsHeadersOfItsMinorVersionOnly) {
  const auto headers = decode_version(10400);
  EXPECT_TRUE(fits(headers, decode_version(10403)));
  EXPECT_FALSE(fits(headers, decode_version(10300)));
  EXPECT_FALSE(fits(headers, decode_version(10500)));
  EXPECT_FALSE(fits(headers, decode_version(20400)));
  EXPECT_FALSE(fits(headers, decode_version(100400)));
  EXPECT_EQ(fitting_versions(headers), "TensorRT-RTX 1.4.x");
}

}  // namespace
}  // namespace nmt_trt
