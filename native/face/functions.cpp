#include "functions.hpp"

#include <array>
#include <cerrno>

#include <seccomp.h>

#include "../core/host/digits.hpp"
#include "../core/host/utf8.hpp"
#include "../core/launch.hpp"
#include "../core/message.hpp"
#include "../core/plan.hpp"

namespace strata::face {
namespace {

host::SeccompAgent seccomp_agent(const std::vector<std::string>& agent) {
  return agent.size() == 2 ? host::SeccompAgent{agent[0], agent[1]} : host::SeccompAgent{};
}

}  // namespace

Status close_descriptor(int descriptor) {
  const int result = sys::close(descriptor);
  return result < 0 ? Status(-result, "close") : Status();
}

Outcome<Fd> receive_descriptor(const Duplicate& socket) { return Outcome<Fd>(host::receive_descriptor(socket.get())); }

Outcome<std::optional<std::string>> exchange(const Duplicate& socket, std::string_view bytes, int timeout) {
  Result<std::string> narrow = host::bytes_of_characters(bytes);
  if (narrow.failed()) return Outcome<std::optional<std::string>>(Failure(narrow.status()));
  Result<std::optional<std::string>> answer = host::exchange(socket.get(), narrow.value(), timeout);
  if (answer.failed() || !answer.value()) return Outcome<std::optional<std::string>>(std::move(answer));
  return Outcome(std::optional(host::characters_of_bytes(*answer.value())));
}

Outcome<std::optional<Packet>> exchange_packet(const Duplicate& socket, std::string_view bytes, int timeout) {
  using Answer = std::optional<Packet>;
  Result<std::string> narrow = host::bytes_of_characters(bytes);
  if (narrow.failed()) return Outcome<Answer>(Failure(narrow.status()));
  Result<std::optional<host::Packet>> answer = host::exchange_packet(socket.get(), narrow.value(), timeout);
  if (answer.failed()) return Outcome<Answer>(Failure(answer.status()));
  if (!answer.value()) return Outcome(Answer());
  return Outcome(Answer(Packet{host::characters_of_bytes(answer.value()->bytes), std::move(answer.value()->descriptor)}));
}

Status send_descriptor_to(int socket, int descriptor, std::string_view text) { return send_descriptor(socket, descriptor, text); }

Outcome<Launched> launch_plan(const PlanBytes& plan, const std::vector<int>& stdio, int preserve, int console, int start) {
  if (stdio.size() < 3 || (stdio.size() > 3 && preserve != 0)) return Outcome<Launched>(Failure(Status(EINVAL, "strata", "stdio")));
  const std::span<const int> passed = std::span(stdio).subspan(3);
  const LaunchRequest request{plan.bytes.data(), plan.bytes.size(), {stdio[0], stdio[1], stdio[2]}, preserve, console, start, passed};
  Launched launched{};
  LaunchFailure failure{};
  return launch(request, launched, failure) ? Outcome(launched) : Outcome<Launched>(Failure(failure));
}

Outcome<Nothing> amend_plan(const PlanBytes& plan) {
  LaunchFailure failure{};
  return amend(plan.bytes.data(), plan.bytes.size(), failure) ? Outcome<Nothing>() : Outcome<Nothing>(Failure(failure));
}

Outcome<bool> settle_launched(int pidfd, int sync, const std::vector<std::string>& agent) {
  bool at_hooks = false;
  LaunchFailure failure{};
  if (settle({sync, pidfd, seccomp_agent(agent)}, at_hooks, failure)) return Outcome(at_hooks);
  abandon(pidfd);
  sys::close(sync);
  return Outcome<bool>(Failure(failure));
}

Outcome<bool> proceed_launched(int pidfd, int sync, bool waits_for_start, const std::vector<std::string>& agent) {
  bool ready = false;
  LaunchFailure failure{};
  const bool done = proceed({sync, pidfd, seccomp_agent(agent)}, waits_for_start, ready, failure);
  if (!done) abandon(pidfd);
  if (!ready) sys::close(sync);
  return done ? Outcome(ready) : Outcome<bool>(Failure(failure));
}

Outcome<Nothing> await_launched(int pidfd, int sync, const std::vector<std::string>& agent) {
  LaunchFailure failure{};
  const bool done = await_execution({sync, pidfd, seccomp_agent(agent)}, failure);
  if (!done) abandon(pidfd);
  sys::close(sync);
  return done ? Outcome<Nothing>() : Outcome<Nothing>(Failure(failure));
}

void abandon_launched(int pidfd, int sync) {
  abandon(pidfd);
  sys::close(pidfd);
  if (sync >= 0) sys::close(sync);
}

Outcome<Nothing> start_container(const std::string& socket, int pidfd, const std::vector<std::string>& agent) {
  LaunchFailure failure{};
  return start(socket.c_str(), pidfd, seccomp_agent(agent), failure) ? Outcome<Nothing>() : Outcome<Nothing>(Failure(failure));
}

bool awaits_start_at(const std::string& socket) { return awaits_start(socket.c_str()); }

Status remove_cgroups(const std::vector<std::string>& hierarchies, const std::vector<std::string>& paths, int timeout) {
  if (hierarchies.size() != paths.size()) return Status(EINVAL, "strata", "cgroups");
  std::vector<host::Cgroup> cgroups;
  for (std::size_t i = 0; i < paths.size(); i++) cgroups.push_back({hierarchies[i], paths[i]});
  return host::remove_cgroups(cgroups, timeout);
}

std::optional<host::WindowSize> window_size() {
  const host::WindowSize size = host::window_size(host::controlling_descriptor());
  return size.height == 0 ? std::nullopt : std::optional(size);
}

Outcome<std::string> random_digits(unsigned count) {
  std::array<std::uint8_t, 64> bytes{};
  if (count > bytes.size()) return Outcome<std::string>(Failure(Status(EINVAL, "strata", "count")));
  // So few bytes are never given in part.
  const long result = sys::getrandom(bytes.data(), count);
  if (result < 0) return Outcome<std::string>(Failure(Status(static_cast<int>(-result), "getrandom")));
  return Outcome(host::hexadecimal({bytes.data(), count}));
}

std::string wire_table_text() {
  std::string text(wire_table(nullptr, 0) + 1, '\0');
  wire_table(text.data(), text.size());
  text.pop_back();  // the NUL
  return text;
}

std::string plan_bytes(const PlanBytes& plan) { return host::hexadecimal(plan.bytes); }

std::vector<std::string> unknown_system_calls(const std::vector<std::string>& names) {
  std::vector<std::string> unknown;
  for (const std::string& name : names) {
    if (seccomp_syscall_resolve_name(name.c_str()) == __NR_SCMP_ERROR) unknown.push_back(name);
  }
  return unknown;
}

std::string libseccomp_version() {
  const scmp_version* version = seccomp_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->micro);
}

}  // namespace strata::face
