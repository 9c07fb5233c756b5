#pragma once

#include <stdexcept>
#include <string>

// Thrown in one shared object and caught in another: their type information must be visible.
#define NMT_TRT_VISIBLE __attribute__((visibility("default")))

namespace nmt_trt {

/// Base of every exception that the core throws on purpose.
class NMT_TRT_VISIBLE Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An argument that cannot be used, or a call out of order.
class NMT_TRT_VISIBLE UsageError : public Error {
 public:
  using Error::Error;

  /// Message "<name> must be <expected>; given <given>".
  UsageError(const std::string& name, const std::string& expected, const std::string& given)
      : Error(name + " must be " + expected + "; given " + given) {}
};

/// Logits from which no distribution follows: NaN or +inf among them, or all of them -inf.
class NMT_TRT_VISIBLE LogitsError : public Error {
 public:
  using Error::Error;
};

/// TensorRT cannot be opened or used: a missing or unsuitable library, a plan that it refuses, a failed run.
class NMT_TRT_VISIBLE EngineError : public Error {
 public:
  using Error::Error;
};

/// A CUDA call that failed; the message has the call, its place and CUDA's own text.
class NMT_TRT_VISIBLE CudaError : public Error {
 public:
  using Error::Error;
};

/// GPU memory that cannot be had; the message has the bytes and what to lower.
class NMT_TRT_VISIBLE OutOfMemoryError : public Error {
 public:
  using Error::Error;
};

}  // namespace nmt_trt
