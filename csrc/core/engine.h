#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace nmt_trt {

enum class DataType { kFloat32, kFloat16, kBFloat16, kInt32 };

size_t size_of(DataType type);
/// "float32", "float16", "bfloat16", "int32"
const char* name_of(DataType type);

/// Extents of a tensor; -1 where a plan leaves it open.
using Shape = std::vector<int64_t>;

/// "[8, 4, -1]"
std::string to_string(const Shape& shape);

/// One input or output of a plan.
struct EngineTensor {
  std::string name;
  DataType type;
  bool is_input;
  /// -1 where the extent is open.
  Shape shape;
  /// Inputs only: what the plan's optimization profile admits.
  Shape min_shape;
  Shape max_shape;
};

/// One execution of an engine at a time: shapes, addresses, scratch memory. Not thread-safe.
class EngineContext {
 public:
  virtual ~EngineContext() = default;

  /// Memory for the engine's intermediate results: at least Engine::scratch_bytes(), 256-byte aligned; the
  /// caller keeps it alive and to itself while a run is under way. Must be called before enqueue().
  virtual void set_scratch(void* memory, size_t bytes) = 0;
  /// Throws UsageError naming the tensor, the shape given, and the least and the largest shape.
  virtual void set_shape(const std::string& input, const Shape& shape) = 0;
  /// Device address of an input or output. Throws UsageError for an unknown name.
  virtual void bind(const std::string& tensor, void* address) = 0;
  /// One run on a cudaStream_t; may be captured into a CUDA graph once it has run before with these shapes.
  /// Throws EngineError with what TensorRT logged.
  virtual void enqueue(void* stream) = 0;
};

/// A deserialized plan.
class Engine {
 public:
  virtual ~Engine() = default;

  virtual const std::vector<EngineTensor>& tensors() const = 0;
  /// The largest that any shape of the profile needs.
  virtual size_t scratch_bytes() const = 0;
  /// Throws EngineError or OutOfMemoryError.
  virtual std::unique_ptr<EngineContext> make_context() = 0;
};

/// An opened TensorRT library together with the shim compiled for it. Engines must not outlive it.
class EngineLibrary {
 public:
  virtual ~EngineLibrary() = default;

  /// "tensorrt" or "tensorrt-rtx".
  virtual const std::string& flavour() const = 0;
  /// "10.14.1", "1.4.0"
  virtual const std::string& version() const = 0;
  /// Throws EngineError when the plan is damaged, or made for another version or GPU.
  virtual std::unique_ptr<Engine> deserialize(const void* plan, size_t bytes) = 0;
  /// The first run of each, in no order, for what it prepares and not for its results; they may share bound
  /// memory. Where kernels are compiled just in time, those of several contexts are at once. Returns when the
  /// work is enqueued; when it throws (what enqueue() throws), what it has enqueued may be under way.
  virtual void rehearse(const std::vector<EngineContext*>& contexts, void* stream) = 0;
  /// Kernels for any shape, compiled just in time so far, to be kept and given to load_runtime_cache(); empty
  /// where the flavour has none.
  virtual std::string runtime_cache() = 0;
  /// Before the first deserialize(); a cache that does not fit is ignored.
  virtual void load_runtime_cache(const std::string& cache) = 0;
};

}  // namespace nmt_trt
