#include "bindings/arrays.h"

namespace nmt_trt::bindings {
namespace {

std::string list(const py::ssize_t* extents, size_t count) {
  std::string text = "[";
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) text += ", ";
    text += extents[i] < 0 ? "any" : std::to_string(extents[i]);
  }
  return text + "]";
}

}  // namespace

std::string describe(const py::object& given) {
  if (!py::isinstance<py::array>(given)) return py::str(py::type::of(given).attr("__name__"));
  const auto array = py::reinterpret_borrow<py::array>(given);
  const std::string dtype = py::str(array.dtype());
  const bool contiguous = (array.flags() & py::array::c_style) != 0;
  return (contiguous ? "" : "non-contiguous ") + dtype + " array of shape " +
         list(array.shape(), static_cast<size_t>(array.ndim()));
}

std::string describe(const std::string& dtype, const std::vector<py::ssize_t>& shape) {
  return "C-contiguous " + dtype + " array of shape " + list(shape.data(), shape.size());
}

bool has_shape(const py::array& array, const std::vector<py::ssize_t>& shape) {
  if (array.ndim() != static_cast<py::ssize_t>(shape.size())) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] >= 0 && array.shape(static_cast<py::ssize_t>(i)) != shape[i]) return false;
  }
  return true;
}

}  // namespace nmt_trt::bindings
