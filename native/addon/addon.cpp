// The Node-API face of the core: registration, and how a call goes to C++ and back.
#include <napi.h>

#include "../core/host/beneath.hpp"
#include "../face/functions.hpp"
#include "environment.hpp"
#include "layer.hpp"

namespace strata::addon {
namespace {

// The arguments of a call; false, and a pending exception, if one of them is not fit.
template <class Arguments>
bool read(const Napi::CallbackInfo& info, Arguments& ret_arguments) {
  Engine js(info.Env());
  Conversion values(js);
  const auto failure = values.read_arguments([&info](int index) { return info[static_cast<std::size_t>(index)]; }, ret_arguments);
  if (failure) napi_throw(info.Env(), values.write(*failure));
  return !failure;
}

template <auto Function>
Napi::Value call_now(const Napi::CallbackInfo& info) {
  typename face::Signature<decltype(Function)>::Arguments arguments;
  if (!read(info, arguments)) return info.Env().Undefined();
  Engine js(info.Env());
  Conversion values(js);
  auto outcome = face::call<Function>(arguments);
  if (!outcome.failure) return values.write(outcome.value);
  napi_throw(info.Env(), values.write(*outcome.failure));
  return info.Env().Undefined();
}

template <auto Function>
Napi::Value call_later(const Napi::CallbackInfo& info) {
  typename face::Signature<decltype(Function)>::Arguments arguments;
  if (!read(info, arguments)) return info.Env().Undefined();
  return Environment::of(info.Env()).on_thread(info.Env(), [arguments = std::move(arguments)] { return face::call<Function>(arguments); });
}

// (pidfd, milliseconds or -1): in the event loop, not on a thread.
Napi::Value wait_exit(const Napi::CallbackInfo& info) {
  std::tuple<int, int> arguments;
  if (!read(info, arguments)) return info.Env().Undefined();
  return Environment::of(info.Env()).exit_of(info.Env(), std::get<0>(arguments), std::get<1>(arguments));
}

class Registration {
 public:
  explicit Registration(Napi::Object exports) : exports_(exports) {}

  template <auto Function>
  void now(const char* name) {
    add(name, call_now<Function>);
  }
  template <auto Function>
  void later(const char* name) {
    add(name, call_later<Function>);
  }
  void add(const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports_.Set(name, Napi::Function::New(exports_.Env(), function, name));
  }

 private:
  Napi::Object exports_;
};

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  Registration registration(exports);
  face::describe(registration);
  registration.add("waitExit", wait_exit);
  registration.add("openLayer", open_layer);
  registration.add("writeLayer", write_layer);
  registration.add("finishLayer", finish_layer);
  registration.add("abortLayer", abort_layer);
  registration.later<layer::compare_trees>("compareTrees");
  registration.now<host::open_beneath>("openBeneath");
  return exports;
}

}  // namespace

NODE_API_MODULE(strata, initialise)

}  // namespace strata::addon
