// Processes, cgroups, commands and the foreground.
#include "../core/host/cgroup.hpp"
#include "../core/host/command.hpp"
#include "../core/host/foreground.hpp"
#include "../core/host/process.hpp"
#include "environment.hpp"
#include "functions.hpp"
#include "values.hpp"

namespace strata::addon {
namespace {

Napi::Value open_process(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int pid = arguments.integer(0);
  const std::uint64_t start_time = arguments.big(1);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::open_process(pid, start_time));
}

Napi::Value signal(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int pidfd = arguments.integer(0);
  const int number = arguments.integer(1);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::send_signal(pidfd, number));
}

Napi::Value wait_exit(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int pidfd = arguments.integer(0);
  const int timeout = arguments.integer(1);
  if (arguments.failed()) return info.Env().Undefined();
  return Environment::of(info.Env()).exit_of(info.Env(), pidfd, timeout);
}

Napi::Value signal_cgroup(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::vector<std::string> directories = arguments.paths(0);
  const int number = arguments.integer(1);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::signal_cgroup(directories, number));
}

Napi::Value remove_cgroup(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  const std::string hierarchy = arguments.path(0);
  const std::string path = arguments.path(1);
  const int timeout = arguments.integer(2);
  if (arguments.failed()) return env.Undefined();
  return Environment::of(env).on_pool<Nothing>(env, [hierarchy, path, timeout] {
    const Status status = host::remove_cgroup(hierarchy, path, timeout);
    return status.failed() ? Outcome<Nothing>(Failure(status)) : Outcome<Nothing>();
  });
}

Napi::Value run(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  host::Command command = arguments.command(0);
  if (arguments.failed()) return env.Undefined();
  return Environment::of(env).on_thread<host::CommandResult>(
      env, [command = std::move(command)] { return Outcome<host::CommandResult>(host::run_command(command)); });
}

Napi::Value foreground(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  const int pidfd = arguments.integer(0);
  const int console = arguments.integer(1);
  if (arguments.failed()) return env.Undefined();
  return Environment::of(env).on_thread<host::ExitStatus>(env,
                                                          [pidfd, console] { return Outcome<host::ExitStatus>(host::foreground(pidfd, console)); });
}

Napi::Value hold_signals(const Napi::CallbackInfo& info) {
  const Status status = host::hold_signals();
  return status.failed() ? give(info.Env(), status) : info.Env().Undefined();
}

Napi::Value interruption(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), host::interruption()); }

}  // namespace

void register_processes(Napi::Object exports) {
  add(exports, "openProcess", open_process);
  add(exports, "signal", signal);
  add(exports, "waitExit", wait_exit);
  add(exports, "signalCgroup", signal_cgroup);
  add(exports, "removeCgroup", remove_cgroup);
  add(exports, "run", run);
  add(exports, "foreground", foreground);
  add(exports, "holdSignals", hold_signals);
  add(exports, "interruption", interruption);
}

}  // namespace strata::addon
