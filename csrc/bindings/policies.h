#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "core/errors.h"
#include "core/options.h"

namespace nmt_trt::bindings {

/// The policy of this name. Throws UsageError when there is none.
inline PolicyKind policy_named(const std::string& name) {
  if (name == "gnmt") return PolicyKind::kGnmt;
  if (name == "nemo") return PolicyKind::kNemo;
  if (name == "hf") return PolicyKind::kHf;
  if (name == "sample") return PolicyKind::kSample;
  throw UsageError("policy", "gnmt, nemo, hf or sample", "'" + name + "'");
}

/// False, True or "never", as transformers writes it.
inline EarlyStopping early_stopping_named(const pybind11::object& given) {
  if (pybind11::isinstance<pybind11::bool_>(given)) {
    return given.cast<bool>() ? EarlyStopping::kYes : EarlyStopping::kNo;
  }
  if (pybind11::isinstance<pybind11::str>(given) && given.cast<std::string>() == "never") {
    return EarlyStopping::kNever;
  }
  throw UsageError("early_stopping", "False, True or 'never'", pybind11::repr(given).cast<std::string>());
}

}  // namespace nmt_trt::bindings
