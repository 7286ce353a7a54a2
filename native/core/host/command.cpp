#include "command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>

#include <linux/sched.h>

#include "foreground.hpp"
#include "socket.hpp"

namespace strata::host {
namespace {

constexpr std::size_t output_limit = 64 * 1024;
constexpr std::size_t stack_size = 64 * 1024;
// How long after the program's end its pipes are read, when a process that it left behind keeps them open. All it wrote itself is there.
constexpr int linger = 100;
// How long a killed process may take to die before it is given up: one in uninterruptible sleep can take for ever.
constexpr int death_limit = 5000;
// How often an interruption of this process is looked for, milliseconds.
constexpr int interruption_interval = 200;

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> result;
  result.reserve(texts.size() + 1);
  for (const std::string& text : texts) result.push_back(text.c_str());
  result.push_back(nullptr);
  return result;
}

// Shared with the child, which runs in this memory until it executes.
struct ChildOrders {
  const char* path;
  const char* const* argv;
  const char* const* envp;
  int stdio[3];
  int error;         // of the call that failed, 0 for none
  const char* call;  // its name
};

int child_main(void* argument) {
  auto& orders = *static_cast<ChildOrders*>(argument);
  sys::setsid();
  for (int target = 0; target < 3; target++) {
    if (const int result = sys::dup3(orders.stdio[target], target, 0); result < 0) {
      orders.error = -result;
      orders.call = "dup3";
      return 127;
    }
  }
  sys::close_range(3, ~0U, 0);
  // Handlers are gone since clone3, but what is ignored (SIGPIPE in Node) would stay so.
  for (int signal = 1; signal <= 64; signal++) sys::default_signal(signal);
  sys::set_signal_mask(0, nullptr);
  orders.error = -sys::execveat(AT_FDCWD, orders.path, orders.argv, orders.envp, 0);
  orders.call = "execve";
  return 127;
}

struct Child {
  int pid = -1;
  Fd pidfd;
};

Result<Child> spawn(const Command& command, const Fd& input, const Fd& output, const Fd& errors) {
  const std::vector<const char*> argv = pointers(command.args);
  const std::vector<const char*> envp = pointers(command.env);
  ChildOrders orders{command.path.c_str(), argv.data(), envp.data(), {input.get(), output.get(), errors.get()}, 0, ""};
  std::vector<char> stack(stack_size);
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<std::uint64_t>(stack.data());
  arguments.stack_size = stack.size();
  // The child shares this thread's memory: no handler may run there.
  std::uint64_t mask = 0;
  sys::set_signal_mask(sys::all_signals, &mask);
  const long pid = sys::clone3_on_stack(&arguments, sizeof arguments, child_main, &orders);
  sys::set_signal_mask(mask, nullptr);
  if (pid < 0) return Status(static_cast<int>(-pid), "clone3", command.path);
  Child child{static_cast<int>(pid), Fd(pidfd)};
  if (orders.error != 0) {
    while (sys::waitid(P_PIDFD, pidfd, nullptr, WEXITED | __WALL) == -EINTR) {
    }
    return Status(orders.error, orders.call, command.path);
  }
  return child;
}

// Both ends above 2, so that no dup3 of the child overwrites one that it still needs, even where the runtime has no stdio.
Result<std::pair<Fd, Fd>> pipe_above_stdio() {
  Result<std::pair<Fd, Fd>> pipe = make_pipe();
  if (pipe.failed()) return pipe;
  for (Fd* end : {&pipe.value().first, &pipe.value().second}) {
    if (end->get() > 2) continue;
    const long moved = sys::fcntl(end->get(), F_DUPFD_CLOEXEC, 3);
    if (moved < 0) return Status(static_cast<int>(-moved), "fcntl");
    *end = Fd(static_cast<int>(moved));
  }
  return pipe;
}

void make_nonblocking(const Fd& descriptor) { sys::fcntl(descriptor.get(), F_SETFL, O_NONBLOCK); }

// Writes what the pipe takes; closes it when all is written or nobody reads any more.
void feed(Fd& pipe, std::string_view& input) {
  const long count = sys::write(pipe.get(), input.data(), input.size());
  if (count == -EAGAIN || count == -EINTR) return;
  if (count > 0) input.remove_prefix(static_cast<std::size_t>(count));
  if (count < 0 || input.empty()) pipe.reset();
}

// Reads what there is, keeps what fits, closes the pipe at its end.
void drain(Fd& pipe, std::string& text) {
  std::array<char, 16384> buffer;
  for (;;) {
    const long count = sys::read(pipe.get(), buffer.data(), buffer.size());
    if (count == -EINTR) continue;
    if (count == -EAGAIN) return;
    if (count <= 0) return pipe.reset();
    text.append(buffer.data(), std::min(static_cast<std::size_t>(count), output_limit - text.size()));
    // A program that writes without end must not keep the loop from its clock.
    if (static_cast<std::size_t>(count) < buffer.size()) return;
    if (text.size() == output_limit) return;
  }
}

// The parent's ends of a running program, and its clock.
class Supervision {
 public:
  // `interrupted_before`: the interruption that there was before the program was started.
  Supervision(const Command& command, Child& child, Fd input, Fd output, Fd errors, int interrupted_before)
      : child_(child),
        input_(std::move(input)),
        output_(std::move(output)),
        errors_(std::move(errors)),
        unread_(command.input),
        interrupted_before_(interrupted_before) {
    make_nonblocking(input_);
    make_nonblocking(output_);
    make_nonblocking(errors_);
    if (unread_.empty()) input_.reset();
    if (command.timeout > 0) deadline_ = sys::monotonic_ms() + command.timeout;
  }

  Result<CommandResult> run() {
    while (!finished()) {
      pollfd polled[] = {
          {exited_ ? -1 : child_.pidfd.get(), POLLIN, 0}, {input_.get(), POLLOUT, 0}, {output_.get(), POLLIN, 0}, {errors_.get(), POLLIN, 0}};
      const int ready = sys::poll(polled, std::size(polled), time_left());
      if (ready < 0 && ready != -EINTR) return Status(-ready, "poll");
      if (ready <= 0 && interruption() != interrupted_before_ && !exited_ && !result_.timed_out) deadline_ = sys::monotonic_ms();
      // Asked each time: a program that writes without end leaves no moment in which nothing is ready.
      if (!expire()) break;
      if (ready <= 0) continue;
      if (polled[1].revents != 0) feed(input_, unread_);
      if (polled[2].revents != 0) drain(output_, result_.output);
      if (polled[3].revents != 0) drain(errors_, result_.errors);
      if (polled[0].revents != 0) STRATA_TRY(reap());
    }
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool finished() const { return exited_ && !output_.valid() && !errors_.valid(); }

  // How long to wait at most. The signals that ask this process to end are looked for now and then: their handler runs in another thread, and a
  // program that never ends must not outlast the patience of whoever pressed Ctrl-C.
  [[nodiscard]] int time_left() const {
    if (deadline_ < 0) return interruption_interval;
    const std::int64_t left = std::max<std::int64_t>(deadline_ - sys::monotonic_ms(), 0);
    return static_cast<int>(std::min<std::int64_t>(left, interruption_interval));
  }

  // The deadline is over. False: stop waiting.
  bool expire() {
    if (deadline_ < 0 || time_left() > 0) return true;
    if (exited_) return false;
    if (result_.timed_out) {
      result_.status = {true, 128 + SIGKILL, SIGKILL};
      return false;
    }
    result_.timed_out = true;
    // Its process group is its own and the leader has not been reaped, so the number cannot be another's.
    sys::kill(-child_.pid, SIGKILL);
    deadline_ = sys::monotonic_ms() + death_limit;
    return true;
  }

  Status reap() {
    Result<ExitStatus> status = exit_status(child_.pidfd.get());
    if (status.failed()) return status.status();
    result_.status = status.value();
    exited_ = true;
    input_.reset();
    deadline_ = sys::monotonic_ms() + linger;
    return {};
  }

  Child& child_;
  Fd input_;
  Fd output_;
  Fd errors_;
  std::string_view unread_;
  std::int64_t deadline_ = -1;
  // What clears up after an interruption is not interrupted itself.
  int interrupted_before_;
  bool exited_ = false;
  CommandResult result_;
};

}  // namespace

Result<CommandResult> run_command(const Command& command) {
  Result<std::pair<Fd, Fd>> input = pipe_above_stdio();
  if (input.failed()) return input.status();
  Result<std::pair<Fd, Fd>> output = pipe_above_stdio();
  if (output.failed()) return output.status();
  Result<std::pair<Fd, Fd>> errors = pipe_above_stdio();
  if (errors.failed()) return errors.status();
  const int interrupted_before = interruption();
  Result<Child> child = spawn(command, input.value().first, output.value().second, errors.value().second);
  if (child.failed()) return child.status();
  input.value().first.reset();
  output.value().second.reset();
  errors.value().second.reset();
  return Supervision(command, child.value(), std::move(input.value().second), std::move(output.value().first), std::move(errors.value().first),
                     interrupted_before)
      .run();
}

namespace {

void keep_open(int descriptor) {
  const long flags = sys::fcntl(descriptor, F_GETFD);
  if (flags > 0) sys::fcntl(descriptor, F_SETFD, flags & ~FD_CLOEXEC);
}

// Those of which the launcher has told Node that they are the caller's.
void keep_inherited_open() {
  const char* inherited = std::getenv("STRATA_INHERITED_FDS");
  while (inherited != nullptr && *inherited != '\0') {
    char* end = nullptr;
    const long descriptor = std::strtol(inherited, &end, 10);
    if (end == inherited) break;
    if (descriptor > 2 && descriptor <= INT_MAX) keep_open(static_cast<int>(descriptor));
    inherited = *end == ',' ? end + 1 : end;
  }
}

}  // namespace

Status become(const std::vector<std::string>& args) {
  if (args.empty()) return {EINVAL, "execve"};
  // Node marks all descriptors that it was started with.
  for (int descriptor = 0; descriptor < 3; descriptor++) keep_open(descriptor);
  keep_inherited_open();
  // The next program is to end as usual when nobody reads its output.
  struct sigaction before {};
  (void)sys::signal_action(SIGPIPE, nullptr, &before);
  sys::default_signal(SIGPIPE);
  const std::vector<const char*> argv = pointers(args);
  const int error = -sys::execveat(AT_FDCWD, argv[0], argv.data(), environ, 0);
  (void)sys::signal_action(SIGPIPE, &before, nullptr);
  return {error, "execve", args[0]};
}

}  // namespace strata::host
