#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <vector>

#include "bindings/arrays.h"
#include "bindings/register.h"
#include "core/average_log_probs.h"
#include "core/errors.h"

namespace nmt_trt::bindings {
namespace {

void average(const std::vector<py::object>& logits, const py::object& out) {
  if (logits.empty()) throw UsageError("logits", "those of one model at least", "none");
  py::array target = check_array<float>("out", out, {-1, -1, -1});
  if (!target.writeable()) throw UsageError("out", "writeable", "a read-only array");
  std::vector<const float*> rows;
  for (const py::object& of_model : logits) {
    const py::array array =
        check_array<float>("logits", of_model, {target.shape(0), target.shape(1), target.shape(2)});
    rows.push_back(static_cast<const float*>(array.data()));
  }
  const auto count = static_cast<size_t>(target.shape(0) * target.shape(1));
  const auto vocab_size = static_cast<size_t>(target.shape(2));
  auto* data = static_cast<float*>(target.mutable_data());
  const py::gil_scoped_release unlocked;
  average_log_probs(rows, count, vocab_size, data);
}

constexpr const char* kAverageDoc =
    R"(Write the logarithm of the mean of several models' probabilities, softmax of their logits, into `out`.

logits: of each model a float32 array [R, K, V]; out: another of this shape. A row in which a model's logits hold NaN or
+inf, or nothing but -inf, is all NaN.)";

}  // namespace

void register_average(py::module_& module) {
  module.def("average_log_probs", &average, py::arg("logits"), py::kw_only(), py::arg("out"), kAverageDoc);
}

}  // namespace nmt_trt::bindings
