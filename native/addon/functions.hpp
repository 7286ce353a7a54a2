// The functions that JavaScript sees, by concern; each converts its arguments, calls the core once and converts the result.
#pragma once

#include <napi.h>

namespace strata::addon {

void register_files(Napi::Object exports);
void register_descriptors(Napi::Object exports);
void register_processes(Napi::Object exports);
void register_launch(Napi::Object exports);

inline void add(Napi::Object exports, const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
  exports.Set(name, Napi::Function::New(exports.Env(), function, name));
}

}  // namespace strata::addon
