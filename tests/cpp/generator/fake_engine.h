#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "core/engine.h"
#include "generator/buckets.h"
#include "generator/plans.h"
#include "toy_model.h"

namespace nmt_trt::testing {

/// How the toy model's decoder runs on kernels of ours.
struct FakeDecoder {
  bool pre_norm;
};

/// What a plan of the toy model was built for.
struct FakePlan {
  std::string graph;
  toy::Model model;
  int64_t heads = 2;
  int64_t head_size = 2;
  int64_t vocab_size = 16;
  DataType type = DataType::kFloat32;
  int32_t max_batch = 64;
  int32_t max_source = 64;
  /// Of all sources of a batch.
  Extent tokens = {16, 4096};
  /// Sentences times beam size.
  Extent rows = {1, 512};
  size_t scratch = 4096;
  /// Of the plan.
  size_t bytes = 1000;
  /// The model's decoder runs on kernels of ours, and how.
  std::optional<FakeDecoder> native = std::nullopt;
};

/// Plans like this one, each for the graph asked for.
PlanProvider plans_like(const FakePlan& plan);
/// The bytes of a plan.
std::string written(const FakePlan& plan);

/// Opens plans as written() makes them. The engines run the toy model on the fake device, refuse what
/// TensorRT would, and destroy everything in their scratch memory.
std::shared_ptr<EngineLibrary> fake_library();

}  // namespace nmt_trt::testing
