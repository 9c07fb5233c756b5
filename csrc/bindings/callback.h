#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <utility>

namespace nmt_trt::bindings {

/// A Python callable that C++ may call, copy and drop without holding the interpreter's lock.
class Callback {
 public:
  explicit Callback(pybind11::object callable)
      : callable_(new pybind11::object(std::move(callable)), [](pybind11::object* object) {
          if (!Py_IsInitialized()) return;
          const pybind11::gil_scoped_acquire locked;
          delete object;
        }) {}

  template <typename Result, typename... Arguments>
  Result call(const Arguments&... arguments) const {
    const pybind11::gil_scoped_acquire locked;
    return (*callable_)(arguments...).template cast<Result>();
  }
  void log(int severity, const char* message) const {
    const pybind11::gil_scoped_acquire locked;
    (*callable_)(severity, pybind11::bytes(message));
  }

 private:
  std::shared_ptr<pybind11::object> callable_;
};

}  // namespace nmt_trt::bindings
