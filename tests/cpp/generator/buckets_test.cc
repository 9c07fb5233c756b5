#include "generator/buckets.h"

#include <gtest/gtest.h>

namespace nmt_trt {
namespace {

TEST(Buckets, BatchesArePowersOfTwoUpToTheLargest) {
  EXPECT_EQ(batch_bucket(1, {1, 64}), 1);
  EXPECT_EQ(batch_bucket(2, {1, 64}), 2);
  EXPECT_EQ(batch_bucket(3, {1, 64}), 4);
  EXPECT_EQ(batch_bucket(64, {1, 64}), 64);
  EXPECT_EQ(batch_bucket(33, {1, 48}), 48);
}

TEST(Buckets, SourcesBeginWithSixteen) {
  EXPECT_EQ(source_bucket(1, 256), 16);
  EXPECT_EQ(source_bucket(17, 256), 32);
  EXPECT_EQ(source_bucket(200, 256), 256);
  EXPECT_EQ(source_bucket(200, 210), 210);
  EXPECT_EQ(source_bucket(5, 10), 10);
}

TEST(Buckets, AreNotBelowWhatThePlansAdmit) {
  EXPECT_EQ(batch_bucket(3, {8, 64}), 8);
  EXPECT_EQ(batch_bucket(9, {8, 64}), 16);
}

}  // namespace
}  // namespace nmt_trt
