#include "engine/shared_object.h"

#include <dlfcn.h>

#include "core/errors.h"

namespace nmt_trt {

SharedObject::SharedObject(const std::string& what, const std::string& path)
    : path_(path), handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ != nullptr) return;
  const char* reason = dlerror();
  throw EngineError("cannot open " + what + ": " + (reason != nullptr ? reason : path.c_str()));
}

void* SharedObject::address_of(const char* name) const { return dlsym(handle_, name); }

}  // namespace nmt_trt
