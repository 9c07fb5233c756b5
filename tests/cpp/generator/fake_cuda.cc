// The functions of the CUDA runtime that the generator calls, on the fake device.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "fake_device.h"
#include "watched_memory.h"

using nmt_trt::testing::device;
using nmt_trt::testing::RecordedJob;
using nmt_trt::testing::RecordedWork;

namespace {

constexpr size_t kAlignment = 256;
constexpr int kGarbage = 0xCD;

cudaError_t last_error = cudaSuccess;
std::map<void*, size_t> device_buffers;

cudaError_t told(cudaError_t status) {
  if (status != cudaSuccess && status != cudaErrorNotReady) last_error = status;
  return status;
}

cudaError_t call(const char* name, bool may_be_captured = true) {
  return told(device().call(name, may_be_captured));
}

struct FakeEvent {
  bool reached = false;
};

template <typename Handle, typename T>
Handle handle_of(T* object) {
  return reinterpret_cast<Handle>(object);
}
template <typename T, typename Handle>
T* object_of(Handle handle) {
  return reinterpret_cast<T*>(handle);
}

// Memory.

cudaError_t copy(const char* name, void* to, size_t to_pitch, const void* from, size_t from_pitch,
                 size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  if (const auto status = call(name); status != cudaSuccess) return status;
  device().give(stream, cudaGraphNodeTypeMemcpy, [=] {
    for (size_t row = 0; row < height; ++row) {
      std::memcpy(static_cast<std::byte*>(to) + row * to_pitch,
                  static_cast<const std::byte*>(from) + row * from_pitch, width);
    }
  });
  if (kind == cudaMemcpyDeviceToHost) device().finish();  // not pinned: it waits
  return cudaSuccess;
}

}  // namespace

bool nmt_trt::testing::FakeDevice::in_same_buffer(const void* start, const void* end) {
  return std::any_of(device_buffers.begin(), device_buffers.end(), [&](const auto& buffer) {
    const std::byte* first = static_cast<const std::byte*>(buffer.first);
    return start >= first && start < first + buffer.second && end >= start && end <= first + buffer.second;
  });
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  if (const auto status = call(__func__, false); status != cudaSuccess) return status;
  device().check_current();
  auto& held = device().holdings;
  if (held.device_bytes + bytes > device().memory) return told(cudaErrorMemoryAllocation);
  const size_t whole = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  *memory = std::aligned_alloc(kAlignment, whole);
  std::memset(*memory, kGarbage, whole);
  device_buffers[*memory] = bytes;
  held.device_bytes += bytes;
  ++held.device_buffers;
  ++device().makings.device_buffers;
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  if (device().captures()) device().forbid("cudaFree within a capture");
  device().finish();
  const auto buffer = device_buffers.find(memory);
  if (buffer == device_buffers.end()) return told(cudaErrorInvalidValue);
  device().holdings.device_bytes -= buffer->second;
  --device().holdings.device_buffers;
  device_buffers.erase(buffer);
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned int flags) {
  if (const auto status = call(__func__, false); status != cudaSuccess) return status;
  *memory =
      flags == cudaHostAllocMapped ? nmt_trt::testing::allocate_watched(bytes).host : std::malloc(bytes);
  if (*memory == nullptr) return told(cudaErrorMemoryAllocation);
  ++device().holdings.host_buffers;
  ++device().makings.host_buffers;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  device().finish();
  if (!nmt_trt::testing::free_watched(memory)) std::free(memory);
  --device().holdings.host_buffers;
  return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void** address, void* memory, unsigned int /*flags*/) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  *address = nmt_trt::testing::device_address(memory);
  return *address == nullptr ? told(cudaErrorInvalidValue) : cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  device().give(stream, cudaGraphNodeTypeMemset, [=] { std::memset(memory, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copy(__func__, to, 0, from, 0, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy(__func__, to, to_pitch, from, from_pitch, width, height, kind, stream);
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  *total = device().memory;
  *free = *total - std::min(*total, device().holdings.device_bytes);
  return cudaSuccess;
}

// Streams and events.

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int /*flags*/) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  *stream = handle_of<cudaStream_t>(new int(0));
  ++device().holdings.streams;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete object_of<int>(stream);
  --device().holdings.streams;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t /*stream*/) {
  if (!device().captures()) device().finish();
  return call(__func__, false);
}

cudaError_t cudaStreamQuery(cudaStream_t /*stream*/) {
  if (const auto status = call(__func__, false); status != cudaSuccess) return status;
  return device().finish_some() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  *event = handle_of<cudaEvent_t>(new FakeEvent);
  ++device().holdings.events;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  device().finish();
  delete object_of<FakeEvent>(event);
  --device().holdings.events;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  object_of<FakeEvent>(event)->reached = false;
  device().give(stream, cudaGraphNodeTypeEventRecord,
                [event] { object_of<FakeEvent>(event)->reached = true; });
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  *milliseconds = 1.0F;
  const bool reached = object_of<FakeEvent>(from)->reached && object_of<FakeEvent>(to)->reached;
  return reached ? cudaSuccess : cudaErrorNotReady;
}

// Graphs.

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  return device().begin_capture(stream) ? cudaSuccess : told(cudaErrorIllegalState);
}

cudaError_t cudaStreamEndCapture(cudaStream_t /*stream*/, cudaGraph_t* graph) {
  const auto status = call(__func__);
  auto recorded = device().end_capture();
  *graph = nullptr;
  if (status != cudaSuccess) return status;
  if (!recorded) return told(cudaErrorStreamCaptureInvalidated);
  *graph = handle_of<cudaGraph_t>(new RecordedWork(std::move(*recorded)));
  ++device().holdings.graphs;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete object_of<RecordedWork>(graph);
  --device().holdings.graphs;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  auto& jobs = object_of<RecordedWork>(graph)->jobs;
  if (nodes == nullptr) *count = jobs.size();
  for (size_t i = 0; nodes != nullptr && i < *count; ++i) nodes[i] = handle_of<cudaGraphNode_t>(&jobs[i]);
  return cudaSuccess;
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  *type = object_of<RecordedJob>(node)->type;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph,
                                          unsigned long long /*flags*/) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  *executable = handle_of<cudaGraphExec_t>(new RecordedWork(*object_of<RecordedWork>(graph)));
  ++device().holdings.executables;
  ++device().makings.executables;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete object_of<RecordedWork>(executable);
  --device().holdings.executables;
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t /*stream*/) {
  if (const auto status = call(__func__); status != cudaSuccess) return status;
  device().launch(*object_of<RecordedWork>(executable));
  return cudaSuccess;
}

// Device and errors.

cudaError_t cudaGetDevice(int* current) {
  *current = device().current;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int wanted) {
  device().current = wanted;
  return cudaSuccess;
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t /*error*/) { return "a failure of the fake device"; }
const char* cudaGetErrorName(cudaError_t /*error*/) { return "cudaErrorFake"; }
