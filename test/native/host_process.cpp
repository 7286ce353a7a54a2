#include "core/host/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>

#include "core/host/command.hpp"
#include "core/host/file.hpp"
#include "harness.hpp"

using namespace strata;
using namespace strata::host;
using harness::test;

namespace {

// A child that waits for a signal.
int idle_child() {
  const int pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  return pid;
}

int exiting_child(int status) {
  const int pid = fork();
  if (pid == 0) _exit(status);
  return pid;
}

void wait_readable(int pidfd) {
  pollfd readable{pidfd, POLLIN, 0};
  poll(&readable, 1, 10000);
}

Command shell(const std::string& script) { return {"/bin/sh", {"sh", "-c", script}, {"PATH=/usr/bin:/bin"}, "", 0}; }

}  // namespace

int main() {
  // As Node does, which is what the core relies on.
  signal(SIGPIPE, SIG_IGN);

  test("process_stat survives any program name", [] {
    CHECK(prctl(PR_SET_NAME, "a) Z 1 (b\n) R") == 0);
    Result<std::optional<ProcessStat>> stat = process_stat(getpid());
    if (!CHECK(!stat.failed() && stat.value())) return;
    CHECK(stat.value()->state == 'R');
    CHECK(stat.value()->start_time > 0);
    CHECK(!process_stat(0x7ffffffe).value());
  });

  test("open_process opens the process with the start time, and no other", [] {
    const int pid = idle_child();
    const std::uint64_t start = process_stat(pid).value()->start_time;
    CHECK(open_process(pid, start).value().valid());
    CHECK(!open_process(pid, start + 1).value().valid());
    CHECK(!open_process(0, start).value().valid());
    CHECK(!open_process(-1, start).value().valid());
    CHECK(!open_process(0x7ffffffe, start).value().valid());
    const Fd pidfd = std::move(open_process(pid, start).value());
    CHECK(!has_exited(pidfd.get()));
    CHECK(send_signal(pidfd.get(), SIGKILL).value());
    wait_readable(pidfd.get());
    CHECK(has_exited(pidfd.get()));
    CHECK(!open_process(pid, start).value().valid());  // a zombie
    const ExitStatus status = exit_status(pidfd.get()).value();
    CHECK(status.known && status.code == 128 + SIGKILL && status.signal == SIGKILL);
    CHECK(!send_signal(pidfd.get(), SIGKILL).value());
    CHECK(!open_process(pid, start).value().valid());
  });

  test("exit_status of a child is its status, and reaps it", [] {
    const int pid = exiting_child(42);
    const Fd pidfd(sys::pidfd_open(pid, 0));
    wait_readable(pidfd.get());
    const ExitStatus status = exit_status(pidfd.get()).value();
    CHECK(status.known && status.code == 42 && status.signal == 0);
    CHECK(kill(pid, 0) < 0);
  });

  test("exit_status of another's child is known while it is a zombie", [] {
    int ends[2];
    CHECK(pipe(ends) == 0);
    const int parent = fork();
    if (parent == 0) {
      const int child = exiting_child(7);
      if (write(ends[1], &child, sizeof child) < 0) _exit(1);
      for (;;) pause();  // never reaps
    }
    int child = 0;
    CHECK(read(ends[0], &child, sizeof child) == sizeof child);
    const Fd pidfd(sys::pidfd_open(child, 0));
    wait_readable(pidfd.get());
    const ExitStatus status = exit_status(pidfd.get()).value();
    CHECK(status.known && status.code == 7);
    kill(parent, SIGKILL);
    waitpid(parent, nullptr, 0);
    close(ends[0]);
    close(ends[1]);
  });

  test("run_command feeds, collects and reports", [] {
    Command command = shell("cat; echo problem >&2; exit 3");
    command.input.assign(1 << 20, 'x');
    Result<CommandResult> result = run_command(command);
    if (!CHECK(!result.failed())) return;
    CHECK(result.value().status.code == 3 && result.value().status.signal == 0);
    CHECK(result.value().output == std::string(64 * 1024, 'x'));
    CHECK(result.value().errors == "problem\n");
    CHECK(!result.value().timed_out);
  });

  test("run_command does not mind a program that reads nothing", [] {
    Command command = shell("exec <&-; sleep 0.1; kill -TERM $$");
    command.input.assign(1 << 20, 'x');
    Result<CommandResult> result = run_command(command);
    CHECK(result.value().status.signal == SIGTERM && result.value().status.code == 128 + SIGTERM);
  });

  test("run_command names the program that cannot be executed", [] {
    Result<CommandResult> result = run_command({"/nowhere/hook", {"hook"}, {}, "", 0});
    CHECK(result.status().error() == ENOENT);
    CHECK(std::string(result.status().call()) == "execve");
    CHECK(std::string(result.status().path()) == "/nowhere/hook");
    CHECK(waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD);
    CHECK(run_command({"/", {"hook"}, {}, "", 0}).status().error() == EACCES);
  });

  test("run_command gives the environment and arguments as they are, and nothing else", [] {
    const Fd extra(fcntl(1, F_DUPFD, 20));
    Command command = shell("echo \"$A\" \"$1\"; ls /proc/self/fd | wc -l; cat /proc/self/status | grep -E '^Sig(Blk|Ign)'");
    command.args.insert(command.args.end(), {"zero", "one two"});
    command.env.push_back("A=");
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    Result<CommandResult> result = run_command(command);
    sigprocmask(SIG_SETMASK, &old, nullptr);
    // ls has its own descriptor of the directory.
    CHECK(result.value().output == " one two\n4\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  });

  test("run_command kills the whole process group when the time is over", [] {
    Command command = shell("sleep 30 & echo $!; sleep 30");
    command.timeout = 200;
    const std::int64_t begin = sys::monotonic_ms();
    Result<CommandResult> result = run_command(command);
    CHECK(sys::monotonic_ms() - begin < 5000);
    CHECK(result.value().timed_out);
    CHECK(result.value().status.signal == SIGKILL);
    const int background = std::atoi(result.value().output.c_str());
    // Nobody here is its parent, so nobody can wait for it; dying takes a moment.
    const auto is_alive = [background] {
      Result<std::optional<ProcessStat>> stat = process_stat(background);
      return stat.value() && stat.value()->state != 'Z';
    };
    while (is_alive() && sys::monotonic_ms() - begin < 20000) usleep(1000);
    CHECK(background > 0 && !is_alive());
  });

  test("run_command does not wait for a daemon that keeps its pipes", [] {
    const std::int64_t begin = sys::monotonic_ms();
    Result<CommandResult> result = run_command(shell("sleep 5 & echo $!"));
    CHECK(sys::monotonic_ms() - begin < 3000);
    CHECK(result.value().status.code == 0 && !result.value().timed_out);
    kill(std::atoi(result.value().output.c_str()), SIGKILL);
  });

  test("run_command ends a program that writes without end, and does not wait for one left behind", [] {
    // Larger pieces than are read at once, so that there is always something to read.
    const std::string writers = "cat /dev/zero & cat /dev/zero >&2 & ";
    Command command = shell(writers + "wait");
    command.timeout = 100;
    Result<CommandResult> result = run_command(command);
    if (!CHECK(!result.failed())) return;
    CHECK(result.value().timed_out);
    CHECK(result.value().output.size() == 64 * 1024);

    result = run_command(shell(writers));
    if (!CHECK(!result.failed())) return;
    CHECK(!result.value().timed_out);
    CHECK(result.value().status.known && result.value().status.code == 0);
  });

  test("run_command works without stdio of its own", [] {
    const int pid = fork();
    if (pid == 0) {
      close(0);
      close(1);
      close(2);
      Command command = shell("cat; echo problem >&2");
      command.input = "text\n";
      Result<CommandResult> result = run_command(command);
      _exit(!result.failed() && result.value().output == "text\n" && result.value().errors == "problem\n" ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK(status == 0);
  });

  return harness::finish();
}
