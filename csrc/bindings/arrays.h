#pragma once

#include <pybind11/numpy.h>

#include <string>
#include <vector>

#include "core/errors.h"

namespace nmt_trt::bindings {

namespace py = pybind11;

/// "float32 array of shape [2, 3]" or, for anything but an array, "list".
std::string describe(const py::object& given);

/// "C-contiguous float32 array of shape [2, 3]"; an extent of -1 reads as "any".
std::string describe(const std::string& dtype, const std::vector<py::ssize_t>& shape);

/// Whether `array` has these extents, -1 standing for any.
bool has_shape(const py::array& array, const std::vector<py::ssize_t>& shape);

template <typename T>
const char* dtype_name();
template <>
inline const char* dtype_name<float>() {
  return "float32";
}
template <>
inline const char* dtype_name<int32_t>() {
  return "int32";
}

/// The array as it is: never a copy, never a cast. Throws UsageError unless `object` is a C-contiguous numpy
/// array of that dtype and shape.
template <typename T>
py::array check_array(const char* name, const py::object& object, const std::vector<py::ssize_t>& shape) {
  if (py::isinstance<py::array_t<T, py::array::c_style>>(object)) {
    auto array = py::reinterpret_borrow<py::array>(object);
    if (has_shape(array, shape)) return array;
  }
  throw UsageError(name, "a " + describe(dtype_name<T>(), shape), describe(object));
}

}  // namespace nmt_trt::bindings
