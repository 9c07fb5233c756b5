#pragma once

#include <string>

#include "core/errors.h"
#include "core/options.h"

namespace nmt_trt::bindings {

/// The policy of this name. Throws UsageError when there is none.
inline PolicyKind policy_named(const std::string& name) {
  if (name == "gnmt") return PolicyKind::kGnmt;
  if (name == "nemo") return PolicyKind::kNemo;
  throw UsageError("policy", "gnmt or nemo", "'" + name + "'");
}

}  // namespace nmt_trt::bindings
