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

TEST(Buckets, ShortestSourceIsTheFirstOfItsBucket) {
  for (const int32_t most : {10, 16, 210, 256}) {
    for (int32_t length = 1; length <= most; ++length) {
      const int32_t bucket = source_bucket(length, most);
      const int32_t shortest = shortest_source(bucket);
      EXPECT_LE(shortest, length);
      EXPECT_EQ(source_bucket(shortest, most), bucket);
      EXPECT_TRUE(shortest == 1 || source_bucket(shortest - 1, most) < bucket) << bucket;
    }
  }
}

TEST(Buckets, TokensAreTheLargestNumberHalvedAsLongAsTheyFit) {
  EXPECT_EQ(token_bucket(512, 512, 16), 512);
  EXPECT_EQ(token_bucket(257, 512, 16), 512);
  EXPECT_EQ(token_bucket(256, 512, 16), 256);
  EXPECT_EQ(token_bucket(129, 512, 16), 256);
  EXPECT_EQ(token_bucket(128, 512, 16), 128);
  EXPECT_EQ(token_bucket(65, 512, 16), 128);
  EXPECT_EQ(token_bucket(64, 512, 16), 64);
  EXPECT_EQ(token_bucket(12'000, 65'536, 16), 16'384);
}

TEST(Buckets, TokensAreAnEighthOfTheLargestNumberAtLeast) {
  EXPECT_EQ(token_bucket(1, 512, 16), 64);
  EXPECT_EQ(token_bucket(1, 10'000, 16), 1250);
  EXPECT_EQ(token_bucket(1, 10'015, 16), 1251);
}

TEST(Buckets, TokensAreNotBelowWhatThePlansAdmit) {
  EXPECT_EQ(token_bucket(1, 512, 100), 128);
  EXPECT_EQ(token_bucket(1, 512, 128), 128);
  EXPECT_EQ(token_bucket(1, 512, 257), 512);
  EXPECT_EQ(token_bucket(1, 16, 16), 16);
  EXPECT_EQ(token_bucket(1, 2, 1), 1);
}

}  // namespace
}  // namespace nmt_trt
