// Runs a strata command and kills it, or the container's process that it makes, right before the N-th system call that others could notice.
//
//   kill-at (runtime|container) N PREFIX COMMAND [ARGUMENT...]
//
// `runtime`: the calls of all threads of the command, counted from the first that names a path which begins with PREFIX, so that the start of
// the language runtime does not count. `container`: the calls of the processes that the command makes as vfork(2) does. N 0 kills nobody.
//
// Afterwards one line of JSON goes to descriptor 3: the number of calls that were counted, the call that was not made any more, and how the
// command ended. Then kill-at waits for the end of its standard input, waits for the descendants that are dying, and says how many are left:
// it is their subreaper, as conmon is, so that nobody gets away. With KILL_AT_TRACE in the environment the calls are listed on standard error.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <string>

namespace {

constexpr int report_descriptor = 3;
constexpr int patience_ms = 10000;
constexpr int call_stop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

struct Call {
  const char* name;
  int path_argument;  // -1: none
};

// What changes something outside the process, looks for something there, or tells another process something. Left out is what a language runtime
// does for itself all the time: memory, futexes, reading, waiting; and close, which is what being killed does.
const std::map<std::uint64_t, Call> noticeable = {
    {SYS_openat, {"openat", 1}},
    {SYS_openat2, {"openat2", 1}},
    {SYS_statx, {"statx", 1}},
    {SYS_write, {"write", -1}},
    {SYS_mkdirat, {"mkdirat", 1}},
    {SYS_mknodat, {"mknodat", 1}},
    {SYS_unlinkat, {"unlinkat", 1}},
    {SYS_symlinkat, {"symlinkat", 2}},
    {SYS_renameat2, {"renameat2", 3}},
    {SYS_linkat, {"linkat", 3}},
    {SYS_fchmod, {"fchmod", -1}},
    {SYS_fchown, {"fchown", -1}},
    {SYS_ftruncate, {"ftruncate", -1}},
    {SYS_fsync, {"fsync", -1}},
    {SYS_fdatasync, {"fdatasync", -1}},
    {SYS_syncfs, {"syncfs", -1}},
    {SYS_pwrite64, {"pwrite64", -1}},
    {SYS_flock, {"flock", -1}},
    {SYS_setxattr, {"setxattr", 0}},
    {SYS_removexattr, {"removexattr", 0}},
    {SYS_memfd_create, {"memfd_create", 0}},
    {SYS_socket, {"socket", -1}},
    {SYS_socketpair, {"socketpair", -1}},
    {SYS_bind, {"bind", -1}},
    {SYS_listen, {"listen", -1}},
    {SYS_connect, {"connect", -1}},
    {SYS_accept4, {"accept4", -1}},
    {SYS_sendto, {"sendto", -1}},
    {SYS_sendmsg, {"sendmsg", -1}},
    {SYS_recvfrom, {"recvfrom", -1}},
    {SYS_recvmsg, {"recvmsg", -1}},
    {SYS_clone, {"clone", -1}},
    {SYS_clone3, {"clone3", -1}},
    {SYS_execve, {"execve", 0}},
    {SYS_execveat, {"execveat", 1}},
    {SYS_unshare, {"unshare", -1}},
    {SYS_setns, {"setns", -1}},
    {SYS_kill, {"kill", -1}},
    {SYS_pidfd_open, {"pidfd_open", -1}},
    {SYS_pidfd_send_signal, {"pidfd_send_signal", -1}},
    {SYS_waitid, {"waitid", -1}},
    {SYS_wait4, {"wait4", -1}},
    {SYS_bpf, {"bpf", -1}},
    {SYS_mount, {"mount", 1}},
    {SYS_umount2, {"umount2", 0}},
    {SYS_pivot_root, {"pivot_root", 0}},
    {SYS_chroot, {"chroot", 0}},
    {SYS_fsopen, {"fsopen", 0}},
    {SYS_fsconfig, {"fsconfig", 2}},
    {SYS_fsmount, {"fsmount", -1}},
    {SYS_open_tree, {"open_tree", 1}},
    {SYS_move_mount, {"move_mount", 3}},
    {SYS_mount_setattr, {"mount_setattr", 1}},
    {SYS_sethostname, {"sethostname", 0}},
    {SYS_setdomainname, {"setdomainname", 0}},
    {SYS_prlimit64, {"prlimit64", -1}},
    {SYS_keyctl, {"keyctl", -1}},
    {SYS_seccomp, {"seccomp", -1}},
    {SYS_capset, {"capset", -1}},
    {SYS_setgroups, {"setgroups", -1}},
    {SYS_setresuid, {"setresuid", -1}},
    {SYS_setresgid, {"setresgid", -1}},
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(125);
}

std::string text_at(pid_t process, std::uint64_t address) {
  char buffer[256] = {};
  constexpr std::size_t most = sizeof buffer - 1;
  // Page by page: the text may end right before memory that is not there.
  for (std::size_t size = 0; size < most && std::memchr(buffer, '\0', size) == nullptr;) {
    const std::uint64_t at = address + size;
    const std::size_t part = std::min<std::size_t>(most - size, 4096 - at % 4096);
    const iovec here{buffer + size, part};
    const iovec there{reinterpret_cast<void*>(at), part};
    if (process_vm_readv(process, &here, 1, &there, 1, 0) < 0) break;
    size += part;
  }
  return buffer;
}

pid_t thread_group(pid_t task) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/status", task);
  FILE* file = std::fopen(path, "re");
  if (file == nullptr) return 0;
  char line[256];
  int group = 0;
  while (std::fgets(line, sizeof line, file) != nullptr && std::sscanf(line, "Tgid: %d", &group) != 1) {
  }
  std::fclose(file);
  return group;
}

// What the language runtime's threads do when they happen to: counted, it would move the points about.
bool is_noise(pid_t task, const Call& call, const std::string& path, std::uint64_t first_argument) {
  if (path.starts_with("/sys/devices/")) return true;
  if (std::strcmp(call.name, "write") != 0) return false;
  char link[64];
  std::snprintf(link, sizeof link, "/proc/%d/fd/%d", task, static_cast<int>(first_argument));
  char target[64] = {};
  return readlink(link, target, sizeof target - 1) > 0 && std::strcmp(target, "anon_inode:[eventfd]") == 0;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + '"';
}

void report(const std::string& line) {
  if (write(report_descriptor, line.data(), line.size()) < 0) die("kill-at: report");
}

// Reaps whoever has ended, and lets go of whoever stands. Whether any child is left.
bool reap() {
  for (;;) {
    int status = 0;
    const pid_t task = waitpid(-1, &status, WNOHANG | __WALL);
    if (task <= 0) return task == 0;
    if (WIFSTOPPED(status)) ptrace(PTRACE_DETACH, task, nullptr, status >> 16 == 0 && WSTOPSIG(status) != call_stop ? WSTOPSIG(status) : 0);
  }
}

class Killer {
 public:
  Killer(bool container, long point, std::string prefix) : container_(container), point_(point), prefix_(std::move(prefix)) {}

  // Follows the command to its end.
  void watch(pid_t command) {
    command_ = command;
    for (;;) {
      int status = 0;
      const pid_t task = waitpid(-1, &status, __WALL);
      if (task < 0) {
        if (errno == EINTR) continue;
        die("kill-at: waitpid");
      }
      if (WIFSTOPPED(status)) {
        on_stop(task, status);
      } else if (task == command_) {
        status_ = status;
        for (const auto& [other, group] : groups_) ptrace(PTRACE_INTERRUPT, other, nullptr, nullptr);
        return;
      }
    }
  }

  // Lets go of whoever is still followed, and reaps, until the end of standard input.
  static void release() {
    for (pollfd input{0, POLLIN, 0};;) {
      reap();
      char byte = 0;
      if (poll(&input, 1, 1) > 0 && read(0, &byte, 1) <= 0) return;
    }
  }

  [[nodiscard]] std::string result() const {
    std::string how = WIFSIGNALED(status_) ? "\"signal\":" + std::to_string(WTERMSIG(status_)) : "\"exit\":" + std::to_string(WEXITSTATUS(status_));
    return "{\"calls\":" + std::to_string(count_) + ",\"call\":" + quoted(call_) + ",\"path\":" + quoted(path_) + "," + how + "}\n";
  }

 private:
  void on_stop(pid_t task, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    const pid_t group = group_of(task);
    // In the one case the container's processes are none of our business, in the other the command itself.
    if (group != command_ && !container_) {
      ptrace(PTRACE_DETACH, task, nullptr, event == 0 && signal != call_stop ? signal : 0);
      return;
    }
    if (event == PTRACE_EVENT_VFORK) counting_ = counting_ || container_;
    if (signal == call_stop) on_call(task, group);
    const bool follow = container_ == (group != command_);
    const bool real = event == 0 && signal != call_stop;
    ptrace(follow ? PTRACE_SYSCALL : PTRACE_CONT, task, nullptr, real ? signal : 0);
  }

  void on_call(pid_t task, pid_t group) {
    if (killed_) return;
    __ptrace_syscall_info info{};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, task, sizeof info, &info) < 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
    const auto found = noticeable.find(info.entry.nr);
    if (found == noticeable.end()) return;
    const Call& call = found->second;
    const std::string path = call.path_argument < 0 ? "" : text_at(task, info.entry.args[call.path_argument]);
    if (is_noise(task, call, path, info.entry.args[0])) return;
    counting_ = counting_ || (!container_ && path.starts_with(prefix_));
    if (!counting_) return;
    count_++;
    if (std::getenv("KILL_AT_TRACE") != nullptr) std::fprintf(stderr, "%ld %d %s %s\n", count_, task, call.name, path.c_str());
    if (count_ != point_) return;
    killed_ = true;
    call_ = call.name;
    path_ = path;
    // It stands before the call, which a process that is to die does not make any more.
    kill(group, SIGKILL);
  }

  pid_t group_of(pid_t task) {
    const auto known = groups_.find(task);
    if (known != groups_.end()) return known->second;
    const pid_t group = thread_group(task);
    return groups_[task] = group == 0 ? task : group;
  }

  bool container_;
  long point_;
  std::string prefix_;
  pid_t command_ = 0;
  int status_ = 0;
  bool counting_ = false;
  bool killed_ = false;
  long count_ = 0;
  std::string call_;
  std::string path_;
  std::map<pid_t, pid_t> groups_;
};

// Processes that still live when no more are ending.
int remaining() {
  for (int waited = 0; waited < patience_ms; waited++) {
    if (!reap()) return 0;
    const timespec pause{0, 1000000};
    nanosleep(&pause, nullptr);
  }
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
  FILE* file = std::fopen(path, "re");
  if (file == nullptr) return 1;
  int count = 0;
  for (int pid = 0; std::fscanf(file, "%d", &pid) == 1; count++) kill(pid, SIGKILL);
  std::fclose(file);
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: kill-at (runtime|container) N PREFIX COMMAND [ARGUMENT...]\n");
    return 2;
  }
  fcntl(report_descriptor, F_SETFD, FD_CLOEXEC);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) die("kill-at: prctl");
  int gate[2];
  if (pipe2(gate, O_CLOEXEC) < 0) die("kill-at: pipe");
  const pid_t command = fork();
  if (command < 0) die("kill-at: fork");
  if (command == 0) {
    char byte = 0;
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (dup2(null, 0) < 0 || read(gate[0], &byte, 1) != 1) _exit(125);
    execvp(argv[4], argv + 4);
    die("kill-at: exec");
  }
  constexpr long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
  if (ptrace(PTRACE_SEIZE, command, nullptr, options) < 0 || ptrace(PTRACE_INTERRUPT, command, nullptr, nullptr) < 0) die("kill-at: ptrace");
  if (write(gate[1], "", 1) != 1) die("kill-at: gate");

  Killer killer(std::strcmp(argv[1], "container") == 0, std::strtol(argv[2], nullptr, 10), argv[3]);
  killer.watch(command);
  report(killer.result());
  Killer::release();
  report("{\"left\":" + std::to_string(remaining()) + "}\n");
  return 0;
}
