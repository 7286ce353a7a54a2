#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string>
#include <string_view>

#include "../pidfd.hpp"
#include "file.hpp"

namespace strata::host {
namespace {

constexpr std::size_t proc_file_limit = 64 * 1024;

ExitStatus decode(int status) {
  if (WIFSIGNALED(status)) return {true, 128 + WTERMSIG(status), WTERMSIG(status)};
  return {true, WEXITSTATUS(status), 0};
}

// The pid that a pidfd refers to, 0 if it has been reaped or is not in this pid namespace.
int pid_of(int pidfd) {
  Result<std::string> info = read_file_at(AT_FDCWD, ("/proc/self/fdinfo/" + std::to_string(pidfd)).c_str(), proc_file_limit);
  if (info.failed()) return 0;
  constexpr std::string_view key = "\nPid:\t";
  const std::size_t at = info.value().find(key);
  int pid = 0;
  if (at != std::string::npos) std::from_chars(info.value().data() + at + key.size(), info.value().data() + info.value().size(), pid);
  return pid > 0 ? pid : 0;
}

// The kernel shows a zombie's status in stat to those who may trace it, and 0 to others; the link asks the same question without the doubt.
bool may_trace(const std::string& directory) {
  char target[64];
  return sys::readlinkat(AT_FDCWD, (directory + "/ns/user").c_str(), target, sizeof target) > 0;
}

std::optional<ExitStatus> status_of_zombie(int pidfd) {
  const int pid = pid_of(pidfd);
  if (pid == 0 || !may_trace("/proc/" + std::to_string(pid))) return std::nullopt;
  Result<std::optional<ProcessStat>> stat = process_stat(pid);
  // X: it is just being reaped, by nobody where SIGCHLD is ignored.
  if (stat.failed() || !stat.value() || (stat.value()->state != 'Z' && stat.value()->state != 'X')) return std::nullopt;
  // While it can be signalled it has not been reaped, and the pid was its own all the time.
  if (sys::pidfd_send_signal(pidfd, 0, nullptr, 0) < 0) return std::nullopt;
  return decode(stat.value()->exit_status);
}

}  // namespace

Result<std::optional<ProcessStat>> process_stat(int pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  Result<std::string> text = read_file_at(AT_FDCWD, path.c_str(), proc_file_limit);
  if (text.failed()) {
    const int error = text.status().error();
    return error == ENOENT || error == ESRCH ? Result(std::optional<ProcessStat>()) : text.status();
  }
  // The second field is the program's name in parentheses, and the name may hold anything, parentheses and spaces included.
  const std::size_t close = text.value().rfind(')');
  if (close == std::string::npos) return Status(EBADMSG, "read", path);
  std::string_view rest = std::string_view(text.value()).substr(close + 1);
  ProcessStat stat;
  for (int field = 3; !rest.empty(); field++) {
    rest.remove_prefix(1);  // the space before each field
    const std::string_view value = rest.substr(0, rest.find_first_of(" \n"));
    const char* end = value.data() + value.size();
    if (field == 3 && !value.empty()) stat.state = value[0];
    if (field == 22 && std::from_chars(value.data(), end, stat.start_time).ec != std::errc()) return Status(EBADMSG, "read", path);
    if (field == 52) {
      std::from_chars(value.data(), end, stat.exit_status);
      return std::optional(stat);
    }
    rest.remove_prefix(value.size());
  }
  return Status(EBADMSG, "read", path);
}

Result<Fd> open_process(int pid, std::uint64_t start_time) {
  if (pid <= 0) return Fd();
  Fd pidfd(sys::pidfd_open(pid, 0));
  if (!pidfd.valid()) {
    const int error = -pidfd.get();
    // EINVAL and ENOENT: there is only a thread of this number, not a process.
    if (error == ESRCH || error == EINVAL || error == ENOENT) return Fd();
    return Status(error, "pidfd_open", std::to_string(pid));
  }
  // Read after the open: whoever has the recorded start time now already had the pid when it was opened.
  Result<std::optional<ProcessStat>> stat = process_stat(pid);
  if (stat.failed()) return stat.status();
  if (!stat.value() || stat.value()->start_time != start_time) return Fd();
  if (stat.value()->state == 'Z' || stat.value()->state == 'X') return Fd();
  return pidfd;
}

Result<bool> send_signal(int pidfd, int signal) {
  const int result = sys::pidfd_send_signal(pidfd, signal, nullptr, 0);
  if (result == -ESRCH) return false;
  if (result < 0) return Status(-result, "pidfd_send_signal");
  return true;
}

Result<ExitStatus> exit_status(int pidfd) {
  siginfo_t info{};
  // __WALL: a process of clone3 that has not executed anything yet may have no exit signal.
  const int result = sys::waitid(P_PIDFD, pidfd, &info, WEXITED | WNOHANG | __WALL);
  if (result == 0 && info.si_pid != 0) {
    if (info.si_code == CLD_EXITED) return ExitStatus{true, info.si_status, 0};
    return ExitStatus{true, 128 + info.si_status, info.si_status};
  }
  if (result < 0 && result != -ECHILD) return Status(-result, "waitid");
  if (const std::optional<int> status = status_of_reaped(pidfd)) return decode(*status);
  if (std::optional<ExitStatus> status = status_of_zombie(pidfd)) return *status;
  // Its parent may have reaped it between the two questions.
  const std::optional<int> status = status_of_reaped(pidfd);
  return status ? decode(*status) : ExitStatus();
}

bool has_exited(int pidfd) {
  pollfd readable{pidfd, POLLIN, 0};
  return sys::poll(&readable, 1, 0) > 0;
}

}  // namespace strata::host
