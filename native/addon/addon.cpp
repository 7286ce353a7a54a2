// The Node-API face of the core: registration.
#include <napi.h>
#include <seccomp.h>

#include "../core/plan.hpp"
#include "environment.hpp"
#include "functions.hpp"

namespace strata::addon {
namespace {

// The core's table of operations, which a test compares with the one of TypeScript.
Napi::Value wire_table_text(const Napi::CallbackInfo& info) {
  std::string text(wire_table(nullptr, 0) + 1, '\0');
  wire_table(text.data(), text.size());
  text.pop_back();  // the NUL
  return Napi::String::New(info.Env(), text);
}

Napi::Object versions(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  const scmp_version* version = seccomp_version();
  object.Set("libseccomp",
             Napi::String::New(env, std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->micro)));
  return object;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  register_files(exports);
  register_descriptors(exports);
  register_processes(exports);
  register_launch(exports);
  add(exports, "wireTable", wire_table_text);
  exports.Set("versions", versions(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(strata, initialise)

}  // namespace strata::addon
