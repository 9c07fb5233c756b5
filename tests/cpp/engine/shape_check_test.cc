#include "engine/shape_check.h"

#include <gtest/gtest.h>

#include "../support.h"
#include "core/errors.h"

namespace nmt_trt {
namespace {

using testing::message_of;

EngineTensor input(const Shape& shape, const Shape& least, const Shape& largest) {
  return {"input_ids", DataType::kInt32, true, shape, least, largest};
}

TEST(ShapeCheck, AdmitsTheProfile) {
  const auto ids = input({-1, -1}, {1, 2}, {64, 256});
  for (const Shape& shape : {Shape{1, 2}, Shape{64, 256}, Shape{7, 100}})
    EXPECT_NO_THROW(check_shape(ids, shape));
}

TEST(ShapeCheck, NamesTensorShapeAndLimits) {
  const auto ids = input({-1, -1}, {1, 2}, {64, 256});
  const auto complaint = [&](const Shape& shape) {
    return message_of<UsageError>([&] { check_shape(ids, shape); });
  };
  EXPECT_EQ(complaint({65, 16}), "shape of input_ids must be from [1, 2] to [64, 256]; given [65, 16]");
  EXPECT_EQ(complaint({1, 257}), "shape of input_ids must be from [1, 2] to [64, 256]; given [1, 257]");
  EXPECT_EQ(complaint({1, 1}), "shape of input_ids must be from [1, 2] to [64, 256]; given [1, 1]");
  EXPECT_EQ(complaint({-1, 16}), "shape of input_ids must be from [1, 2] to [64, 256]; given [-1, 16]");
  EXPECT_EQ(complaint({8}), "shape of input_ids must be from [1, 2] to [64, 256]; given [8]");
  EXPECT_EQ(complaint({8, 16, 1}), "shape of input_ids must be from [1, 2] to [64, 256]; given [8, 16, 1]");
}

TEST(ShapeCheck, StaticShapes) {
  const auto ids = input({4, 8}, {4, 8}, {4, 8});
  EXPECT_NO_THROW(check_shape(ids, {4, 8}));
  EXPECT_EQ(message_of<UsageError>([&] { check_shape(ids, {4, 9}); }),
            "shape of input_ids must be [4, 8]; given [4, 9]");
}

}  // namespace
}  // namespace nmt_trt
