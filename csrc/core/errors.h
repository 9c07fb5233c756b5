#pragma once

#include <stdexcept>
#include <string>

namespace nmt_trt {

/// Base of every exception that the core throws on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An argument that cannot be used, or a call out of order.
class UsageError : public Error {
 public:
  using Error::Error;

  /// Message "<name> must be <expected>; given <given>".
  UsageError(const std::string& name, const std::string& expected, const std::string& given)
      : Error(name + " must be " + expected + "; given " + given) {}
};

/// Logits from which no distribution follows: NaN or +inf among them, or all of them -inf.
class LogitsError : public Error {
 public:
  using Error::Error;
};

}  // namespace nmt_trt
