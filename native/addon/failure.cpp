#include "failure.hpp"

namespace strata::addon {

Napi::Object failure_object(Napi::Env env, const Failure& failure) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("operation", Napi::Number::New(env, failure.operation));
  object.Set("syscall", Napi::String::New(env, failure.call));
  object.Set("errno", Napi::Number::New(env, failure.error));
  object.Set("path", Napi::String::New(env, failure.path));
  object.Set("detail", Napi::String::New(env, failure.detail));
  return object;
}

void throw_failure(Napi::Env env, const Status& status) { napi_throw(env, failure_object(env, Failure(status))); }

}  // namespace strata::addon
