#include "cuda/graph.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "cuda/event.h"
#include "cuda/gpu_search.h"
#include "cuda/random_logits.h"
#include "cuda/stream.h"

namespace nmt_trt {
namespace {

using namespace testing;

class GraphTest : public CudaTest {};

constexpr size_t kLogits = size_t{3} * 4 * 32000;

std::vector<std::byte> logits_of_step(uint64_t step) {
  Random random(step);
  std::vector<float> logits(kLogits);
  for (float& logit : logits) logit = 4.0F * random.bell();
  return encode(logits, DataType::kFloat16);
}

/// One search whose steps are launched by `launch(gpu, stage, logits)`, with launches to spare.
template <typename Launch>
SearchSnapshot search(PolicyKind policy, Launch launch) {
  const SearchOptions options = search_options(policy, 4, 32000, {6, 6, 6}, 0.6F);
  GpuSearch gpu(options, 4, 6);
  GpuStage stage(options, {0, 1, 2, -1}, 24);
  DeviceArray<std::byte> logits(size_t{4} * 4 * 32000 * 2);
  gpu.start(stage);
  NMT_TRT_CUDA(cudaDeviceSynchronize());
  launch(gpu, stage, logits);
  return gpu.snapshot();
}

void enqueue(const GpuSearch& gpu, const GpuStage& stage, const DeviceArray<std::byte>& logits,
             cudaStream_t stream) {
  cuda::top_log_probs(gpu.state(), stage.inputs, logits.data(), DataType::kFloat16, stage.candidates.data(),
                      stream);
  cuda::update_beams(gpu.state(), stage.inputs, stage.candidates.data(), stream);
}

TEST_F(GraphTest, GivesWhatSingleLaunchesGive) {
  for (const PolicyKind policy : {PolicyKind::kGnmt, PolicyKind::kNemo, PolicyKind::kHf}) {
    const cuda::Stream stream;
    const SearchSnapshot eager = search(policy, [&](auto& gpu, auto& stage, auto& logits) {
      for (uint64_t step = 0; step < 6; ++step) {
        logits.upload(logits_of_step(step));
        enqueue(gpu, stage, logits, stream.get());
        stream.synchronize();
      }
    });
    EXPECT_EQ(eager.active(), 0);
    const SearchSnapshot replayed = search(policy, [&](auto& gpu, auto& stage, auto& logits) {
      const cuda::Graph graph =
          cuda::capture(stream.get(), [&] { enqueue(gpu, stage, logits, stream.get()); });
      EXPECT_EQ(graph.nodes().kernels, 2U);
      EXPECT_EQ(graph.nodes().total(), 2U);
      for (uint64_t step = 0; step < 9; ++step) {
        logits.upload(logits_of_step(step));
        graph.launch(stream.get());
        stream.synchronize();
      }
    });
    expect_same(replayed, eager);
  }
}

TEST_F(GraphTest, IsEmptyUntilSomethingIsRecorded) {
  cuda::Graph graph;
  EXPECT_FALSE(graph);
  EXPECT_EQ(graph.nodes().total(), 0U);
  const cuda::Stream stream;
  DeviceArray<int32_t> number(1);
  graph = cuda::capture(
      stream.get(), [&] { NMT_TRT_CUDA(cudaMemsetAsync(number.data(), 0, sizeof(int32_t), stream.get())); });
  EXPECT_TRUE(graph);
  EXPECT_EQ(graph.nodes().memsets, 1U);
  EXPECT_EQ(graph.nodes().total(), 1U);
  EXPECT_EQ(number.values()[0], -1) << "recording must not run anything";
  graph.launch(stream.get());
  stream.synchronize();
  EXPECT_EQ(number.values()[0], 0);
}

TEST_F(GraphTest, AnExceptionEndsTheRecording) {
  const cuda::Stream stream;
  EXPECT_THROW(cuda::capture(stream.get(), [] { throw std::runtime_error("no"); }), std::runtime_error);
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusActive;
  NMT_TRT_CUDA(cudaStreamIsCapturing(stream.get(), &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusNone);
  stream.synchronize();
}

TEST_F(GraphTest, EventsMeasureTheDevicesTime) {
  const cuda::Stream stream;
  cuda::Event from, to;
  from.record(stream.get());
  to.record(stream.get());
  stream.synchronize();
  EXPECT_GE(cuda::seconds_between(from, to), 0.0);
}

}  // namespace
}  // namespace nmt_trt
