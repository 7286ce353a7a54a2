// The runtime's half of starting a container: cgroups, the seccomp program, the clone, and the conversation with strata-init.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "error.hpp"
#include "host/listener.hpp"

namespace strata {

// Which operation of the plan failed, and how.
struct LaunchFailure {
  int operation = -1;
  int error = 0;
  FixedText<64> call;
  FixedText<1024> path;
  FixedText<1024> detail;
};

struct LaunchRequest {
  const std::uint8_t* plan;
  std::size_t size;
  int stdio[3];
  int preserve;                      // so many descriptors from 3 on are the container's
  int console;                       // socket for the terminal's master, or -1
  int start;                         // listening socket for `start`, or -1
  std::span<const int> passed = {};  // become 3, 4 and so on; with these `preserve` is 0
};

struct Launched {
  int pid;
  std::uint64_t start_time;  // clock ticks since boot, field 22 of /proc/PID/stat
  int pidfd;
  int sync;
};

// Carries out a plan up to the birth of the container's process, which goes on by itself to the first point where it waits. On failure nothing of
// the process is left; cgroups that were made are the caller's to remove.
bool launch(const LaunchRequest& request, Launched& ret_launched, LaunchFailure& ret_failure);
// Carries out a plan that makes no process: it only changes what a container's cgroups allow.
bool amend(const std::uint8_t* plan, std::size_t size, LaunchFailure& ret_failure);

// A process on its way, and who gets the listener of its seccomp filter, if that has one.
struct Underway {
  int sync;
  int pidfd;
  const host::SeccompAgent& agent;
};

// Blocks until the process waits: for the runtime's hooks (`ret_at_hooks`), or ready. On the way it is given what it asks for: network devices, and
// somebody who takes its listener. On failure it has ended or is ending, and is to be reaped with `abandon`.
bool settle(const Underway& underway, bool& ret_at_hooks, LaunchFailure& ret_failure);

// Lets a waiting process go on. From hooks it comes to `ready` (`ret_ready`); from ready it executes the program, or, if it was launched with a
// start socket, waits there. On failure the process has ended or is ending, and is to be reaped with `abandon`.
bool proceed(const Underway& underway, bool waits_for_start, bool& ret_ready, LaunchFailure& ret_failure);

// For a plan without a point where the process waits: blocks until execve has succeeded. On failure as above.
bool await_execution(const Underway& underway, LaunchFailure& ret_failure);

// SIGKILL and reap a child, and take back the network devices that it was given.
void abandon(int pidfd);

// Tells the process behind the start socket, whose pidfd is needed if there is an agent, to execute its program. Blocks until execve has succeeded.
bool start(const char* socket, int pidfd, const host::SeccompAgent& agent, LaunchFailure& ret_failure);

// Does a process wait behind the start socket?
bool awaits_start(const char* socket);

}  // namespace strata
