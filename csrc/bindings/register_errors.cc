#include <pybind11/pybind11.h>

#include <exception>

#include "bindings/register.h"
#include "core/errors.h"

namespace nmt_trt::bindings {
namespace {

namespace py = pybind11;

// Imported when needed: nmt_trt.errors is the one source of the classes, and importing _core must not need
// it.
void raise(const char* name, const Error& error) {
  const py::object type = py::module_::import("nmt_trt.errors").attr(name);
  py::set_error(type, error.what());
}

void translate(std::exception_ptr pointer) {
  if (!pointer) return;
  try {
    std::rethrow_exception(pointer);
  } catch (const UsageError& error) {
    raise("UsageError", error);
  } catch (const LogitsError& error) {
    raise("BackendError", error);
  } catch (const EngineError& error) {
    raise("EngineError", error);
  } catch (const CudaError& error) {
    raise("CudaError", error);
  } catch (const OutOfMemoryError& error) {
    raise("OutOfMemoryError", error);
  } catch (const Error& error) {
    raise("Error", error);
  }
}

}  // namespace

void register_errors() { py::register_local_exception_translator(&translate); }

}  // namespace nmt_trt::bindings
