#pragma once

#include <pybind11/pybind11.h>

namespace nmt_trt::bindings {

/// C++ exceptions become those of nmt_trt.errors.
void register_errors();
void register_average(pybind11::module_& module);
void register_hypothesis(pybind11::module_& module);
void register_beam_search(pybind11::module_& module);
/// Only in a build with CUDA; the first class is an argument of the second.
void register_native_decoder(pybind11::module_& module);
void register_generator(pybind11::module_& module);

}  // namespace nmt_trt::bindings
