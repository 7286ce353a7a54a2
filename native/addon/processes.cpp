// Processes, cgroups, commands and the foreground.
#include <cerrno>

#include "../core/host/cgroup.hpp"
#include "../core/host/command.hpp"
#include "../core/host/foreground.hpp"
#include "../core/host/process.hpp"
#include "../core/host/terminal.hpp"
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

// (hierarchies, paths, timeout): the lists belong together by position.
Napi::Value remove_cgroups(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  const std::vector<std::string> hierarchies = arguments.paths(0);
  const std::vector<std::string> paths = arguments.paths(1);
  const int timeout = arguments.integer(2);
  if (arguments.failed()) return env.Undefined();
  if (hierarchies.size() != paths.size()) return give(env, Status(EINVAL, "strata.node", "cgroups"));
  std::vector<host::Cgroup> cgroups;
  for (std::size_t i = 0; i < paths.size(); i++) cgroups.push_back({hierarchies[i], paths[i]});
  return Environment::of(env).on_thread<Nothing>(env, [cgroups = std::move(cgroups), timeout] {
    const Status status = host::remove_cgroups(cgroups, timeout);
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

Napi::Value window_size(const Napi::CallbackInfo& info) {
  const host::WindowSize size = host::window_size(host::controlling_descriptor());
  if (size.height == 0) return info.Env().Undefined();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("height", Napi::Number::New(info.Env(), size.height));
  result.Set("width", Napi::Number::New(info.Env(), size.width));
  return result;
}

Napi::Value hold_signals(const Napi::CallbackInfo& info) {
  const Status status = host::hold_signals();
  return status.failed() ? give(info.Env(), status) : info.Env().Undefined();
}

Napi::Value interruption(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), host::interruption()); }

Napi::Value exit_now(const Napi::CallbackInfo& info) { sys::exit_group(info[0].ToNumber().Int32Value()); }

}  // namespace

void register_processes(Napi::Object exports) {
  add(exports, "openProcess", open_process);
  add(exports, "signal", signal);
  add(exports, "waitExit", wait_exit);
  add(exports, "signalCgroup", signal_cgroup);
  add(exports, "removeCgroups", remove_cgroups);
  add(exports, "run", run);
  add(exports, "foreground", foreground);
  add(exports, "windowSize", window_size);
  add(exports, "holdSignals", hold_signals);
  add(exports, "interruption", interruption);
  add(exports, "exitNow", exit_now);
}

}  // namespace strata::addon
