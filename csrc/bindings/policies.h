#pragma once

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

/// The same on the GPU, which does not have them all.
inline PolicyKind gpu_policy_named(const std::string& name) {
  const PolicyKind policy = policy_named(name);
  if (policy == PolicyKind::kHf || policy == PolicyKind::kSample) {
    throw UsageError("policy " + name + " runs on the CPU so far: backend='onnxruntime'");
  }
  return policy;
}

}  // namespace nmt_trt::bindings
