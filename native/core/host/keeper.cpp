#include "keeper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <csignal>

#include <linux/close_range.h>
#include <linux/sched.h>

#include "../fd.hpp"
#include "../sealed.hpp"
#include "file.hpp"
#include "foreground.hpp"
#include "socket.hpp"

// The program strata-keeper, linked in as bytes.
extern "C" {
extern const unsigned char strata_keeper_start[];
extern const unsigned char strata_keeper_end[];
}

namespace strata::host {
namespace {

// Of the process that shares our memory; the one in between, which has this on its own stack, has four times as much.
constexpr std::size_t stack_size = 16 * 1024;
constexpr std::size_t told_limit = 64 * 1024;

SealedProgram program("strata-keeper", strata_keeper_start, strata_keeper_end);

// Of the other process of `divide`.
Fd report;

// What the process that becomes the keeper needs; it may share our memory until then.
struct Birth {
  int program;
  const char* const* argv;
  const char* const* envp;
  const std::vector<int>* descriptors;
  int error = 0;  // of the call that failed, 0 for none
  const char* call = "";
};

// Only the descriptors that are named reach the keeper, whatever else this process has or has been given.
bool hand_over(Birth& birth) {
  birth.call = "close_range";
  birth.error = -sys::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  for (const int descriptor : *birth.descriptors) {
    if (birth.error != 0) break;
    if (descriptor < 0) continue;
    birth.call = "fcntl";
    const long result = sys::fcntl(descriptor, F_SETFD, 0);
    if (result < 0) birth.error = static_cast<int>(-result);
  }
  return birth.error == 0;
}

void become(Birth& birth) {
  if (!hand_over(birth)) return;
  birth.call = "execveat";
  birth.error = -sys::execveat(birth.program, "", birth.argv, birth.envp, AT_EMPTY_PATH);
}

int grandchild_main(void* argument) {
  become(*static_cast<Birth*>(argument));
  return 127;
}

constexpr std::uint64_t shared_memory = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND;

// The keeper is its child, and nobody's when it has ended, which is at once.
int child_main(void* argument) {
  auto& birth = *static_cast<Birth*>(argument);
  alignas(16) char stack[stack_size];
  clone_args arguments{};
  arguments.flags = shared_memory;
  arguments.stack = reinterpret_cast<std::uint64_t>(stack);
  arguments.stack_size = sizeof stack;
  const long pid = sys::clone3_on_stack(&arguments, sizeof arguments, grandchild_main, &birth);
  if (pid < 0) {
    birth.error = static_cast<int>(-pid);
    birth.call = "clone3";
  }
  return 0;
}

Status start_apart(Birth& birth) {
  std::vector<char> stack(4 * stack_size);
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = shared_memory | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.stack = reinterpret_cast<std::uint64_t>(stack.data());
  arguments.stack_size = stack.size();
  // They share this thread's memory: no handler may run there.
  std::uint64_t mask = 0;
  sys::set_signal_mask(sys::all_signals, &mask);
  const long pid = sys::clone3_on_stack(&arguments, sizeof arguments, child_main, &birth);
  sys::set_signal_mask(mask, nullptr);
  if (pid < 0) return {static_cast<int>(-pid), "clone3", "strata-keeper"};
  const Fd child(pidfd);
  while (sys::waitid(P_PIDFD, child.get(), nullptr, WEXITED | __WALL) == -EINTR) {
  }
  return birth.error == 0 ? Status() : Status(birth.error, birth.call, "strata-keeper");
}

// What the other process tells until it has closed its end.
std::string hear(const Fd& pipe, int other) {
  std::string text;
  int passed_on = 0;
  for (;;) {
    if (const int signal = interruption(); signal != passed_on) {
      passed_on = signal;
      sys::kill(other, signal);
    }
    pollfd readable{pipe.get(), POLLIN, 0};
    if (sys::poll(&readable, 1, -1) < 0) continue;
    std::array<char, 4096> buffer;
    const long count = sys::read(pipe.get(), buffer.data(), buffer.size());
    if (count == -EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer.data(), std::min(static_cast<std::size_t>(count), told_limit - text.size()));
  }
}

// Starts the keeper, which has `told` to say that all is in place: as a process of its own, and hears it at `ready`, or in our place.
Status start(int program_file, const std::vector<std::string>& orders, const std::vector<int>& descriptors, Fd told, const Fd* ready) {
  const std::string number = std::to_string(told.get());
  std::vector<const char*> argv;
  argv.reserve(orders.size() + 3);
  argv.push_back("strata-keeper");
  for (const std::string& order : orders) {
    argv.push_back(order.c_str());
    if (argv.size() == 2) argv.push_back(number.c_str());
  }
  argv.push_back(nullptr);
  std::vector<int> kept = descriptors;
  kept.push_back(told.get());
  Birth birth{program_file, argv.data(), environ, &kept};
  if (ready == nullptr) {
    become(birth);
    report = std::move(told);
    return {birth.error, birth.call, "strata-keeper"};
  }
  STRATA_TRY(start_apart(birth));
  told.reset();
  char first = 0;
  long count;
  do {
    count = sys::read(ready->get(), &first, sizeof first);
  } while (count == -EINTR);
  return count == sizeof first ? Status() : Status(ECHILD, "read", "strata-keeper");
}

}  // namespace

Result<std::optional<std::string>> divide() {
  Result<std::pair<Fd, Fd>> pipe = make_pipe();
  if (pipe.failed()) return pipe.status();
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  const long pid = sys::clone3(&arguments, sizeof arguments);
  if (pid < 0) return Status(static_cast<int>(-pid), "clone3");
  if (pid == 0) {
    (void)sys::setsid();
    report = Fd(above_stdio(pipe.value().second.release()));
    return std::optional<std::string>();
  }
  pipe.value().second.reset();
  return std::optional(hear(pipe.value().first, static_cast<int>(pid)));
}

void tell(std::string_view text) {
  if (!report.valid()) return;
  (void)write_all(report.get(), text);
  sys::exit_group(1);
}

Status keep(const std::vector<std::string>& orders, const std::vector<int>& descriptors) {
  Result<int> file = program.descriptor();
  if (file.failed()) return file.status();
  Fd ready;
  if (!report.valid()) {
    Result<std::pair<Fd, Fd>> pipe = make_pipe();
    if (pipe.failed()) return pipe.status();
    ready = std::move(pipe.value().first);
    return start(file.value(), orders, descriptors, std::move(pipe.value().second), &ready);
  }
  return start(file.value(), orders, descriptors, std::move(report), nullptr);
}

}  // namespace strata::host
