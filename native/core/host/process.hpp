// Processes, named for good: a pid is only ever used together with its start time, or through a pidfd.
#pragma once

#include <cstdint>
#include <optional>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

// What /proc/PID/stat (proc_pid_stat(5)) tells.
struct ProcessStat {
  char state = '?';
  std::uint64_t start_time = 0;  // field 22: clock ticks since boot
  int exit_status = 0;           // field 52: as wait(2) reports it; zombies only, 0 without the right to trace the process
};

struct ExitStatus {
  bool known = false;
  int code = 0;    // as a shell reports it: the status, or 128 + signal
  int signal = 0;  // the signal that killed it, 0 for none
};

// No value when there is no such process.
Result<std::optional<ProcessStat>> process_stat(int pid);
// The pidfd of the live process with this pid and start time; an invalid one if it is gone, a zombie, or another process has its pid.
Result<Fd> open_process(int pid, std::uint64_t start_time);
// False if the process is gone.
Result<bool> send_signal(int pidfd, int signal);
// How the process of a readable pidfd ended. Reaps a child; of another's child the kernel tells since Linux 6.15, or while it is a zombie.
Result<ExitStatus> exit_status(int pidfd);
// Has it exited? Does not wait.
bool has_exited(int pidfd);

}  // namespace strata::host
