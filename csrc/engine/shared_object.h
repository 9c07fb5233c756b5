#pragma once

#include <string>

namespace nmt_trt {

/// A shared object opened at run time. It stays loaded until the process ends: exceptions that it threw,
/// objects that it made and threads that it started may outlive every user of it.
class SharedObject {
 public:
  /// A path, or a name that the dynamic linker searches for. Throws EngineError "cannot open <what>: ..."
  /// with the linker's text.
  SharedObject(const std::string& what, const std::string& path);

  const std::string& path() const { return path_; }

  /// The exported function of this name, or null.
  template <typename Function>
  Function find(const char* name) const {
    return reinterpret_cast<Function>(address_of(name));
  }

 private:
  void* address_of(const char* name) const;

  std::string path_;
  void* handle_;
};

}  // namespace nmt_trt
