#include "completions.hpp"

namespace strata::addon {

Completions::Completions(Napi::Env env) : env_(env) {
  const Napi::String name = Napi::String::New(env, "strata");
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, arrived, &function_);
  napi_unref_threadsafe_function(env, function_);
}

void Completions::expect() {
  if (expected_++ == 0) napi_ref_threadsafe_function(env_, function_);
}

void Completions::post(std::unique_ptr<Completion> completion) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  Completion* data = completion.release();
  if (napi_call_threadsafe_function(function_, data, napi_tsfn_nonblocking) != napi_ok) delete data;
}

void Completions::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  napi_release_threadsafe_function(function_, napi_tsfn_abort);
}

void Completions::arrived(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<Completion> completion(static_cast<Completion*>(data));
  if (env == nullptr) return;  // the environment ends, nobody listens
  auto* self = static_cast<Completions*>(context);
  if (--self->expected_ == 0) napi_unref_threadsafe_function(env, self->function_);
  completion->settle(env);
}

}  // namespace strata::addon
