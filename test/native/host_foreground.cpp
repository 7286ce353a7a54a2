// The user's terminal is a pseudoterminal here, with a process on it that stands in front of a shell on another one.
#include "core/host/foreground.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>

#include "core/fd.hpp"
#include "harness.hpp"

using namespace strata;
using namespace strata::host;
using harness::test;

namespace {

constexpr int patience = 10000;  // milliseconds

int open_master(std::string& ret_slave) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  grantpt(master);
  unlockpt(master);
  ret_slave = ptsname(master);
  return master;
}

// Makes the terminal the caller's, as its standard streams.
void take_terminal(const std::string& slave) {
  setsid();
  const int terminal = open(slave.c_str(), O_RDWR);
  ioctl(terminal, TIOCSCTTY, 0);
  for (int target = 0; target < 3; target++) dup2(terminal, target);
  if (terminal > 2) close(terminal);
}

// The user: a terminal, and strata in front of `script` on a terminal of its own.
class Session {
 public:
  explicit Session(const std::string& script) {
    std::string slave;
    master_ = Fd(open_master(slave));
    const winsize size{50, 120, 0, 0};
    ioctl(master_.get(), TIOCSWINSZ, &size);
    tcgetattr(master_.get(), &before_);
    pid_ = fork();
    if (pid_ == 0) {
      take_terminal(slave);
      signal(SIGPIPE, SIG_IGN);
      _exit(stand_in_front(script));
    }
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  void type(const std::string& text) const { CHECK(write(master_.get(), text.data(), text.size()) == static_cast<long>(text.size())); }
  void resize(unsigned short rows, unsigned short columns) const {
    const winsize size{rows, columns, 0, 0};
    CHECK(ioctl(master_.get(), TIOCSWINSZ, &size) == 0);
  }
  void send(int signal) const { kill(pid_, signal); }

  // Has the terminal shown `text`, after what was found before?
  bool shows(const std::string& text) {
    const std::int64_t deadline = sys::monotonic_ms() + patience;
    for (;;) {
      const std::size_t at = screen_.find(text, seen_);
      if (at != std::string::npos) {
        seen_ = at + text.size();
        return true;
      }
      pollfd readable{master_.get(), POLLIN, 0};
      if (poll(&readable, 1, static_cast<int>(std::max<std::int64_t>(deadline - sys::monotonic_ms(), 0))) <= 0) break;
      char buffer[4096];
      const long count = read(master_.get(), buffer, sizeof buffer);
      if (count <= 0) break;
      screen_.append(buffer, static_cast<std::size_t>(count));
    }
    std::printf("# no '%s' in: %s\n", text.c_str(), screen_.substr(seen_).c_str());
    return false;
  }

  [[nodiscard]] bool is_raw() const {
    termios mode{};
    tcgetattr(master_.get(), &mode);
    return (mode.c_lflag & (ICANON | ECHO | ISIG)) == 0 && (mode.c_oflag & OPOST) == 0;
  }
  [[nodiscard]] bool is_as_before() const {
    termios mode{};
    tcgetattr(master_.get(), &mode);
    return mode.c_lflag == before_.c_lflag && mode.c_iflag == before_.c_iflag && mode.c_oflag == before_.c_oflag;
  }

  // The wait status of strata. Output is read meanwhile, since the end of a session waits for nobody.
  int end() {
    int status = -1;
    const std::int64_t deadline = sys::monotonic_ms() + patience;
    while (waitpid(pid_, &status, WNOHANG) == 0 && sys::monotonic_ms() < deadline) usleep(5000);
    pid_ = -1;
    return status;
  }

 private:
  static int stand_in_front(const std::string& script) {
    std::string slave;
    const int console = open_master(slave);
    const int child = fork();
    if (child == 0) {
      take_terminal(slave);
      execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
      _exit(126);
    }
    const int pidfd = sys::pidfd_open(child, 0);
    Result<ExitStatus> status = foreground(pidfd, console);
    if (status.failed()) {
      std::printf("%s: %d\n", status.status().call(), status.status().error());
      return 125;
    }
    return status.value().code;
  }

  Fd master_;
  termios before_{};
  int pid_ = -1;
  std::string screen_;
  std::size_t seen_ = 0;
};

// Runs `body` in a process of its own without a terminal; its result is the process's status.
int in_child(const std::function<int()>& body) {
  const int pid = fork();
  if (pid == 0) {
    setsid();
    _exit(body());
  }
  int status = -1;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int shell(const char* script) {
  const int pid = fork();
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", script, nullptr);
    _exit(126);
  }
  return pid;
}

}  // namespace

int main() {
  // What a shell without job control has begun in the background ignores it, and a shell cannot trap what it was given ignored.
  signal(SIGINT, SIG_DFL);
  test("copies both ways in raw mode, and puts the mode back", [] {
    Session session("echo ready; read line; echo \"<$line>\"; exit 7");
    CHECK(session.shows("ready\r\n"));
    CHECK(session.is_raw());
    session.type("some words\r");
    CHECK(session.shows("<some words>\r\n"));
    CHECK(session.end() == 7 << 8);
    CHECK(session.is_as_before());
  });

  test("control characters are the program's", [] {
    Session session("trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done");
    CHECK(session.shows("ready"));
    session.type("\x03");
    CHECK(session.shows("interrupted"));
    CHECK(session.end() == 3 << 8);
  });

  test("the window's size is passed on, at first and when it changes", [] {
    Session session("sleep 0.2; stty size; trap 'stty size' WINCH; echo ready; while read line; do echo again; done; exit 0");
    CHECK(session.shows("50 120"));
    CHECK(session.shows("ready"));
    session.resize(33, 77);
    usleep(100000);
    session.type("\r");  // so that the shell's read returns and the trap runs
    CHECK(session.shows("33 77"));
    session.type("\x04");
    CHECK(session.end() == 0);
  });

  test("signals are passed on, and the terminal is restored when they kill", [] {
    Session session("trap 'echo user' USR1; trap 'echo hangup' HUP; echo ready; while :; do sleep 0.05; done");
    CHECK(session.shows("ready"));
    session.send(SIGUSR1);
    CHECK(session.shows("user"));
    session.send(SIGHUP);
    CHECK(session.shows("hangup"));
    session.send(SIGTERM);
    CHECK(session.end() == (128 + SIGTERM) << 8);
    CHECK(session.is_as_before());
  });

  test("a fatal signal of its own restores the terminal and kills", [] {
    Session session("echo ready; sleep 5");
    CHECK(session.shows("ready"));
    CHECK(session.is_raw());
    session.send(SIGABRT);
    const int status = session.end();
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(session.is_as_before());
  });

  test("the end of much output is not lost", [] {
    Session session("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo the end; exit 4");
    CHECK(session.shows("line 19999\r\nthe end\r\n"));
    CHECK(session.end() == 4 << 8);
  });

  test("a program that reads nothing does not stop what it writes", [] {
    Session session("stty raw; echo ready; sleep 0.3; echo still here; exit 0");
    CHECK(session.shows("ready"));
    session.type(std::string(3000, 'x'));
    session.type(std::string(3000, 'y'));
    session.type(std::string(3000, 'z'));
    CHECK(session.shows("still here"));
    CHECK(session.end() == 0);
  });

  test("a program that closes its terminal and opens it again is heard", [] {
    Session session("tty=$(tty); echo one; exec <&- >&- 2>&-; sleep 0.3; echo two >$tty; sleep 0.3; exec sh -c 'echo three; exit 5' <$tty >$tty");
    CHECK(session.shows("one"));
    CHECK(session.shows("two"));
    CHECK(session.shows("three"));
    CHECK(session.end() == 5 << 8);
  });

  test("without a terminal signals are passed on and the status is told", [] {
    const int status = in_child([] {
      const int pid = shell("trap 'exit 9' USR2; while :; do sleep 0.02; done");
      const int self = getpid();
      const int sender = fork();
      if (sender == 0) {
        usleep(200000);
        kill(self, SIGUSR2);
        _exit(0);
      }
      struct sigaction before {};
      struct sigaction after {};
      sigaction(SIGUSR2, nullptr, &before);
      Result<ExitStatus> ended = foreground(sys::pidfd_open(pid, 0), -1);
      sigaction(SIGUSR2, nullptr, &after);
      return before.sa_handler == after.sa_handler && !ended.failed() ? ended.value().code : 99;
    });
    CHECK(status == 9);
  });

  test("what is ignored stays ignored", [] {
    const int status = in_child([] {
      signal(SIGHUP, SIG_IGN);
      const int pid = shell("trap '' HUP; trap 'exit 8' TERM; sleep 0.3; exit 0");
      const int self = getpid();
      const int sender = fork();
      if (sender == 0) {
        usleep(100000);
        kill(self, SIGHUP);
        _exit(0);
      }
      Result<ExitStatus> ended = foreground(sys::pidfd_open(pid, 0), -1);
      return ended.failed() ? 99 : ended.value().code;
    });
    CHECK(status == 0);
  });

  test("how it ended is told also to those who ignore their children, and they go on ignoring them", [] {
    const int status = in_child([] {
      signal(SIGCHLD, SIG_IGN);
      const int pid = shell("sleep 0.1; exit 7");
      Result<ExitStatus> ended = foreground(sys::pidfd_open(pid, 0), -1);
      struct sigaction after {};
      sigaction(SIGCHLD, nullptr, &after);
      return after.sa_handler == SIG_IGN && !ended.failed() && ended.value().known ? ended.value().code : 99;
    });
    CHECK(status == 7);
  });

  test("standard input that is no terminal is copied, and its end only stops the copying", [] {
    int input[2];
    int output[2];
    CHECK(pipe(input) == 0 && pipe(output) == 0);
    const int pid = fork();
    if (pid == 0) {
      setsid();
      dup2(input[0], 0);
      dup2(output[1], 1);
      for (const int end : {input[0], input[1], output[0], output[1]}) close(end);
      std::string slave;
      const int console = open_master(slave);
      const int child = fork();
      if (child == 0) {
        take_terminal(slave);
        execl("/bin/sh", "sh", "-c", "read line; echo \"<$line>\"; sleep 0.2; echo later; exit 6", nullptr);
        _exit(126);
      }
      Result<ExitStatus> status = foreground(sys::pidfd_open(child, 0), console);
      _exit(status.failed() ? 99 : status.value().code);
    }
    close(input[0]);
    close(output[1]);
    CHECK(write(input[1], "piped\n", 6) == 6);
    close(input[1]);
    std::string text;
    char buffer[256];
    for (long count; (count = read(output[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(count));
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK(text.find("<piped>\r\nlater\r\n") != std::string::npos);
    CHECK(status == 6 << 8);
  });

  return harness::finish();
}
