// Hooks that run inside the container's namespaces, and the wait for those that the runtime runs.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>

#include <linux/close_range.h>
#include <linux/sched.h>

#include "../text.hpp"
#include "argv.hpp"
#include "context.hpp"

namespace strata {
namespace {

constexpr int wait_by_pidfd = 3;

// The runtime's state of the container with the pid as this process sees itself: a file, so that a hook that does not read cannot block us.
Result<Fd> state_file(Text before, Text after) {
  Fd file(sys::memfd_create("strata-hook-state", MFD_CLOEXEC));
  if (!file.valid()) return Status(-file.get(), "memfd_create");
  TextBuilder<24> pid;
  pid.add_number(static_cast<std::uint64_t>(sys::getpid()));
  const std::string_view parts[] = {before.view(), pid.view(), after.view()};
  for (const std::string_view part : parts) {
    for (std::size_t done = 0; done < part.size();) {
      const long written = sys::write(file.get(), part.data() + done, part.size() - done);
      if (written < 0) return Status(static_cast<int>(-written), "write", "state for the hook");
      done += static_cast<std::size_t>(written);
    }
  }
  if (const long result = sys::lseek(file.get(), 0, 0); result < 0) return Status(static_cast<int>(-result), "lseek");
  return file;
}

using Detail = TextBuilder<256>;

// The last line that the hook wrote, for the error message.
void add_last_line(Detail& detail, int output) {
  char content[160];
  const long end = sys::lseek(output, 0, 2);
  if (end <= 0) return;
  const long start = end > static_cast<long>(sizeof content) ? end - static_cast<long>(sizeof content) : 0;
  const long size = sys::pread(output, content, sizeof content, start);
  std::string_view said(content, size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!said.empty() && (said.back() == '\n' || said.back() == '\r')) said.remove_suffix(1);
  const std::size_t newline = said.rfind('\n');
  if (newline != std::string_view::npos) said = tail(said, newline + 1);
  if (!said.empty()) detail.add(": ").add(said);
}

}  // namespace

Status op_runtime_hooks(Context& context) {
  Message message{};
  if (!send_message(context.sync.get(), Message::hooks) || !receive_message(context.sync.get(), message) || message != Message::go) {
    // The runtime is gone, and with it whoever would want this container.
    sys::exit_group(1);
  }
  return {};
}

Status op_hook(const Context& context, Fields fields) {
  (void)fields.text();  // the kind, for people who read the plan
  const Text path = fields.text();
  const TextList args = fields.texts();
  const TextList env = fields.texts();
  const std::uint32_t timeout = fields.u32();
  const Text before = fields.text();
  const Text after = fields.text();

  Result<Fd> state = state_file(before, after);
  if (state.failed()) return state.status();
  const Fd output(sys::memfd_create("strata-hook-output", MFD_CLOEXEC));
  if (!output.valid()) return {-output.get(), "memfd_create"};
  Result<PointerArray> argv = PointerArray::make(args);
  if (argv.failed()) return argv.status();
  Result<PointerArray> envp = PointerArray::make(env);
  if (envp.failed()) return envp.status();
  // Shared with the child: the errno of an execve that failed.
  void* shared = sys::mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return {ENOMEM, "mmap"};
  int* exec_error = static_cast<int*>(shared);

  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const long pid = sys::clone3(&arguments, sizeof arguments);
  if (pid < 0) return {static_cast<int>(-pid), "clone3", path.view()};
  if (pid == 0) {
    // A group of its own, so that a timeout ends what it started too.
    (void)sys::setpgid(0, 0);
    sys::dup3(state.value().get(), 0, 0);
    sys::dup3(output.get(), 1, 0);
    sys::dup3(output.get(), 2, 0);
    // Descriptors that the container's program is to inherit are not the hook's.
    (void)sys::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    (void)sys::set_signal_mask(0, nullptr);
    (void)sys::umask(context.callers_umask);
    *exec_error = -sys::execveat(AT_FDCWD, path.c_str(), argv.value().data(), envp.value().data(), 0);
    sys::exit_group(127);
  }
  const Fd process(pidfd);
  (void)sys::setpgid(static_cast<int>(pid), static_cast<int>(pid));

  pollfd waiting{process.get(), POLLIN, 0};
  const std::int64_t deadline = sys::monotonic_ms() + timeout;
  bool timed_out = false;
  for (;;) {
    const std::int64_t left = deadline - sys::monotonic_ms();
    const int ready = sys::poll(&waiting, 1, timeout == 0 ? -1 : static_cast<int>(left > 0 ? left : 0));
    if (ready == -EINTR) continue;
    timed_out = ready == 0;
    break;
  }
  if (timed_out) {
    sys::kill(static_cast<int>(-pid), SIGKILL);
    sys::kill(static_cast<int>(pid), SIGKILL);
  }
  siginfo_t info{};
  while (sys::waitid(wait_by_pidfd, process.get(), &info, WEXITED) == -EINTR) {
  }
  const int error = *exec_error;
  sys::munmap(shared, sizeof(int));
  if (error != 0) return {error, "execve", path.view()};
  Detail detail;
  if (timed_out) {
    detail.add("did not end within ").add_number(timeout / 1000).add(" s");
  } else if (info.si_code == CLD_EXITED && info.si_status == 0) {
    return {};
  } else {
    detail.add(info.si_code == CLD_EXITED ? "exit status " : "killed by signal ").add_number(static_cast<std::uint64_t>(info.si_status));
  }
  add_last_line(detail, output.get());
  return Status::with_detail("hook", path.view(), detail.view());
}

}  // namespace strata
