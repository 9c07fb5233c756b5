#pragma once

#include <gtest/gtest.h>

#include "fake_device.h"

namespace nmt_trt::testing {

/// Begins with a fresh device; fails when the test leaves anything on it, or did what is forbidden.
class OnFakeDevice : public ::testing::Test {
 protected:
  void SetUp() override { device().restart(); }
  void TearDown() override {
    EXPECT_EQ(device().holdings.total(), 0);
    EXPECT_EQ(device().holdings.device_bytes, 0U);
    for (const auto& violation : device().violations) ADD_FAILURE() << violation;
    device().holdings = {};
  }
};

}  // namespace nmt_trt::testing
