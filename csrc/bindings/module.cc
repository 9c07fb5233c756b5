#include <pybind11/pybind11.h>

#include "bindings/register.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of nmt_trt.";
  module.attr("__version__") = NMT_TRT_VERSION;
  nmt_trt::bindings::register_errors();
  nmt_trt::bindings::register_average(module);
  nmt_trt::bindings::register_hypothesis(module);
  nmt_trt::bindings::register_beam_search(module);
#ifdef NMT_TRT_WITH_CUDA
  module.attr("has_cuda") = true;
  nmt_trt::bindings::register_native_decoder(module);
  nmt_trt::bindings::register_generator(module);
#else
  module.attr("has_cuda") = false;
#endif
}
