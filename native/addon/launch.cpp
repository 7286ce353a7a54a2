// The container's first process.
#include "../core/launch.hpp"

#include <cerrno>

#include "environment.hpp"
#include "functions.hpp"
#include "values.hpp"

namespace strata::addon {
namespace {

Napi::Value launch_plan(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  std::vector<std::uint8_t> plan = arguments.bytes(0);
  const std::vector<int> stdio = arguments.integers(1);
  const int preserve = arguments.integer(2);
  const int console = arguments.integer(3);
  const int start_socket = arguments.integer(4);
  if (arguments.failed()) return env.Undefined();
  if (stdio.size() != 3) return give(env, Status(EINVAL, "strata.node", "stdio"));
  return Environment::of(env).on_thread<Launched>(env, [plan = std::move(plan), stdio, preserve, console, start_socket] {
    const LaunchRequest request{plan.data(), plan.size(), {stdio[0], stdio[1], stdio[2]}, preserve, console, start_socket};
    Launched launched{};
    LaunchFailure failure{};
    return launch(request, launched, failure) ? Outcome(launched) : Outcome<Launched>(Failure(failure));
  });
}

// (pidfd, sync, was it given a start socket?) -> was it at the hooks and is ready now? If not, `sync` has done its service and is closed. After a
// failure the process has been killed and reaped, and `sync` is closed; the pidfd stays for `abandon`.
Napi::Value proceed_launched(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  const int pidfd = arguments.integer(0);
  const int sync = arguments.integer(1);
  const bool waits_for_start = info[2].ToBoolean();
  if (arguments.failed()) return env.Undefined();
  return Environment::of(env).on_thread<bool>(env, [pidfd, sync, waits_for_start] {
    bool ready = false;
    LaunchFailure failure{};
    const bool done = proceed(sync, waits_for_start, ready, failure);
    if (!done) abandon(pidfd);
    if (!ready) sys::close(sync);
    return done ? Outcome(ready) : Outcome<bool>(Failure(failure));
  });
}

// (pidfd, sync or -1): kills and reaps the process, which may be gone already, and closes both.
Napi::Value abandon_launched(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  const int pidfd = arguments.integer(0);
  const int sync = arguments.integer(1);
  if (arguments.failed()) return env.Undefined();
  return Environment::of(env).on_thread<Nothing>(env, [pidfd, sync] {
    abandon(pidfd);
    sys::close(pidfd);
    if (sync >= 0) sys::close(sync);
    return Outcome<Nothing>();
  });
}

Napi::Value start_container(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  const std::string socket = arguments.path(0);
  if (arguments.failed()) return env.Undefined();
  return Environment::of(env).on_thread<Nothing>(env, [socket] {
    LaunchFailure failure{};
    return start(socket.c_str(), failure) ? Outcome<Nothing>() : Outcome<Nothing>(Failure(failure));
  });
}

Napi::Value awaits_start_at(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string socket = arguments.path(0);
  if (arguments.failed()) return info.Env().Undefined();
  return Napi::Boolean::New(info.Env(), awaits_start(socket.c_str()));
}

}  // namespace

void register_launch(Napi::Object exports) {
  add(exports, "launch", launch_plan);
  add(exports, "proceed", proceed_launched);
  add(exports, "abandon", abandon_launched);
  add(exports, "start", start_container);
  add(exports, "awaitsStart", awaits_start_at);
}

}  // namespace strata::addon
