#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "bindings/register.h"
#include "core/errors.h"
#include "core/hypothesis.h"

namespace nmt_trt::bindings {
namespace {

namespace py = pybind11;

py::array_t<int32_t> tokens(const Hypothesis& hypothesis) {
  return py::array_t<int32_t>(static_cast<py::ssize_t>(hypothesis.tokens.size()), hypothesis.tokens.data());
}

py::array_t<float> token_scores(const Hypothesis& hypothesis) {
  return py::array_t<float>(static_cast<py::ssize_t>(hypothesis.token_scores.size()),
                            hypothesis.token_scores.data());
}

py::array_t<float> attention(const Hypothesis& hypothesis, int32_t source) {
  const auto width = static_cast<py::ssize_t>(source);
  const auto size = static_cast<py::ssize_t>(hypothesis.attention.size());
  if (width < 1 || size % width != 0) {
    throw UsageError("source", "the tokens of the source", std::to_string(source));
  }
  return py::array_t<float>({size / width, width}, hypothesis.attention.data());
}

py::str repr(const Hypothesis& hypothesis) {
  return py::str("Hypothesis(tokens={}, score={:.6g}, log_prob={:.6g})")
      .format(tokens(hypothesis).attr("tolist")(), hypothesis.score, hypothesis.log_prob);
}

}  // namespace

void register_hypothesis(py::module_& module) {
  py::class_<Hypothesis>(module, "Hypothesis", "A translation found by the search.")
      .def_property_readonly(
          "tokens", &tokens,
          "int32 array [length], new at each access: generated tokens without EOS and PAD.")
      .def_readonly(
          "score", &Hypothesis::score,
          "Normalised score, the one that ranks: log_prob / ((5 + len) / 6)^length_penalty, or with policy "
          "\"hf\" log_prob / len^length_penalty; with a coverage_penalty that added.")
      .def_readonly(
          "log_prob", &Hypothesis::log_prob,
          "Sum of the log-probabilities of the generated tokens, EOS included, after min_length and the "
          "other options that change scores.")
      .def_property_readonly(
          "token_scores", &token_scores,
          "float32 array, new at each access: with token_scores=True the log-probability of each generated "
          "token in its order, EOS and, where a policy generates it, PAD included. Added up in fp32 they are "
          "log_prob, but for policy \"nemo\", which rescales that.")
      .def("attention", &attention, py::arg("source"),
           "float32 array [length, source], new at each call: with attention=True what each of `tokens`, and "
           "then EOS where it ends them, attended to in its source of so many tokens.")
      .def("__repr__", &repr);
}

}  // namespace nmt_trt::bindings
