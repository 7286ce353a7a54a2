#include "foreground.hpp"

#include <fcntl.h>
#include <poll.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string_view>

#include "notify.hpp"
#include "terminal.hpp"

namespace strata::host {
namespace {

constexpr int signal_count = 64;
// After all slaves of the terminal were closed: how long until it is looked at again, milliseconds.
constexpr int quiet_time = 50;
// Of a pipe that is ready so much can be written without blocking (PIPE_BUF).
constexpr std::size_t write_size = 4096;

// The pipe that the signal handler writes to. Made once and never closed: a handler that another thread still runs when the last one stands
// down must not write into whatever got the number next.
int signal_pipe[2] = {-1, -1};
std::atomic<bool> in_use = false;
std::atomic<int> first_interruption = 0;

void on_signal(int signal) {
  if (signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGTERM) {
    int none = 0;
    first_interruption.compare_exchange_strong(none, signal);
  }
  const auto number = static_cast<unsigned char>(signal);
  // When the pipe is full, as many signals wait already as anyone could want.
  sys::write(signal_pipe[1], &number, sizeof number);
}

bool is_passed_on(int signal) {
  switch (signal) {
    case SIGKILL:
    case SIGSTOP:
    case SIGCHLD:
    case SIGPIPE:
    case SIGURG:
    case SIGWINCH:
    case SIGTTIN:
    case SIGTTOU:  // see foreground.hpp
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
    case SIGABRT: return false;
    default: return true;
  }
}

// Handlers for all signals that concern the container, for as long as it lives.
class SignalForwarding {
 public:
  SignalForwarding() = default;
  SignalForwarding(const SignalForwarding&) = delete;
  SignalForwarding& operator=(const SignalForwarding&) = delete;

  ~SignalForwarding() {
    if (!active_) return;
    for (int signal = 1; signal <= signal_count; signal++) {
      if (replaced_[signal - 1]) sys::signal_action(signal, &saved_[signal - 1], nullptr);
    }
    in_use = false;
  }

  Status begin() {
    if (in_use.exchange(true)) return Status(EBUSY, "sigaction");
    active_ = true;
    first_interruption = 0;
    if (signal_pipe[0] < 0) {
      if (const int result = sys::pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK); result < 0) return Status(-result, "pipe");
    }
    while (next() != 0) continue;  // what came too late for the one before
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    for (int signal = 1; signal <= signal_count; signal++) {
      if (!is_passed_on(signal) && signal != SIGWINCH) continue;
      struct sigaction& saved = saved_[signal - 1];
      // EINVAL: libc keeps two signals for itself.
      if (sys::signal_action(signal, nullptr, &saved) < 0 || ((saved.sa_flags & SA_SIGINFO) == 0 && saved.sa_handler == SIG_IGN)) continue;
      replaced_[signal - 1] = sys::signal_action(signal, &action, nullptr) == 0;
    }
    keep_children();
    return {};
  }

  static int descriptor() { return signal_pipe[0]; }

  // The next signal that came, 0 if none waits.
  static int next() {
    unsigned char number = 0;
    return sys::read(signal_pipe[0], &number, sizeof number) == 1 ? number : 0;
  }

 private:
  // Where SIGCHLD is ignored the kernel reaps at once, and before Linux 6.15 nobody learns then how the program ended.
  void keep_children() {
    struct sigaction& saved = saved_[SIGCHLD - 1];
    if (sys::signal_action(SIGCHLD, nullptr, &saved) < 0) return;
    const bool ignored = (saved.sa_flags & SA_SIGINFO) == 0 && saved.sa_handler == SIG_IGN;
    if (!ignored && (saved.sa_flags & SA_NOCLDWAIT) == 0) return;
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    replaced_[SIGCHLD - 1] = sys::signal_action(SIGCHLD, &usual, nullptr) == 0;
  }

  bool active_ = false;
  std::array<struct sigaction, signal_count> saved_{};
  std::array<bool, signal_count> replaced_{};
};

// Bytes on their way from one descriptor to another.
class Buffer {
 public:
  [[nodiscard]] bool empty() const { return begin_ == end_; }

  // As read(2), into an empty buffer.
  long fill(int descriptor) {
    const long count = sys::read(descriptor, bytes_.data(), bytes_.size());
    begin_ = 0;
    end_ = count > 0 ? static_cast<std::size_t>(count) : 0;
    return count;
  }

  // As write(2), of the first `most` bytes.
  long flush(int descriptor, std::size_t most) {
    const long count = sys::write(descriptor, bytes_.data() + begin_, std::min(end_ - begin_, most));
    if (count > 0) begin_ += static_cast<std::size_t>(count);
    return count;
  }

  void clear() { begin_ = end_ = 0; }

 private:
  std::array<char, 16384> bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

bool is_temporary(long result) { return result == -EAGAIN || result == -EINTR; }

// The copying between the user's standard streams and the container's terminal. Neither direction blocks the other, nor the signals.
class Console {
 public:
  explicit Console(int master) : master_(master) {}
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;
  ~Console() {
    if (flags_ >= 0) sys::fcntl(master_, F_SETFL, flags_);
  }

  Status begin() {
    terminal_ = controlling_descriptor();
    copy_window_size(terminal_, master_);
    const long flags = sys::fcntl(master_, F_GETFL);
    if (flags < 0) return Status(static_cast<int>(-flags), "fcntl");
    // A program that reads nothing must not stop its own output: the master never blocks. Its flags are nobody else's.
    flags_ = flags;
    sys::fcntl(master_, F_SETFL, flags | O_NONBLOCK);
    slave_ = open_slave(master_);
    return is_terminal(0) ? raw_mode_.enter(0) : Status();
  }

  void window_changed() const { copy_window_size(terminal_, master_); }
  void continued() const {
    raw_mode_.renew();
    window_changed();
  }

  // What to wait for, in the order in which `handle` expects it; returns for how many milliseconds, -1 for ever.
  static constexpr std::size_t poll_count = 3;
  int prepare(pollfd* polled) const {
    const bool quiet = sys::monotonic_ms() < quiet_until_;
    short events = output_.empty() ? POLLIN : 0;
    if (!input_.empty()) events |= POLLOUT;
    // A negative descriptor is not looked at: an end of file or a hangup would be reported again and again.
    polled[0] = {events == 0 || quiet ? -1 : master_, events, 0};
    polled[1] = {input_open_ && input_.empty() ? 0 : -1, POLLIN, 0};
    polled[2] = {output_.empty() ? -1 : 1, POLLOUT, 0};
    return quiet ? quiet_time : -1;
  }

  void handle(const pollfd* polled) {
    if (polled[1].revents != 0) read_input();
    if ((polled[0].revents & POLLOUT) != 0 && !input_.empty()) write_master();
    if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && output_.empty()) read_master();
    if (polled[2].revents != 0) write_output();
  }

  // The program has ended: what it wrote is in the terminal still.
  void drain() {
    for (;;) {
      while (!output_.empty()) {
        pollfd writable{1, POLLOUT, 0};
        sys::poll(&writable, 1, -1);
        write_output();
      }
      const long count = output_.fill(master_);
      if (count <= 0 && count != -EINTR) return;
    }
  }

 private:
  void read_input() {
    const long count = input_.fill(0);
    // A terminal that is gone reports EIO; the signal that tells of it is passed on by itself.
    if (count <= 0 && !is_temporary(count)) input_open_ = false;
  }

  void write_master() {
    const long count = input_.flush(master_, write_size);
    if (count < 0 && !is_temporary(count)) input_.clear();
  }

  void read_master() {
    const long count = output_.fill(master_);
    if (count > 0 || is_temporary(count)) return;
    // All slaves were closed, ours too: an init system hangs its terminal up and opens it anew. Keep a slave open again, and look later.
    slave_ = open_slave(master_);
    quiet_until_ = sys::monotonic_ms() + quiet_time;
  }

  void write_output() {
    const long count = output_.flush(1, write_size);
    // Nobody reads our output any more; the program goes on as if somebody did.
    if (count < 0 && !is_temporary(count)) output_.clear();
  }

  int master_;
  long flags_ = -1;
  int terminal_ = -1;
  Fd slave_;
  RawMode raw_mode_;
  Buffer input_;   // from standard input to the master
  Buffer output_;  // from the master to standard output
  bool input_open_ = true;
  std::int64_t quiet_until_ = 0;
};

// Standard signals whose default action stops a background process that touches its terminal have to reach the thread that does.
class JobControl {
 public:
  JobControl() {
    sys::set_signal_mask(sys::all_signals, &mask_);
    sys::set_signal_mask(mask_ & ~(bit(SIGTTIN) | bit(SIGTTOU)), nullptr);
  }
  JobControl(const JobControl&) = delete;
  JobControl& operator=(const JobControl&) = delete;
  ~JobControl() { sys::set_signal_mask(mask_, nullptr); }

 private:
  static constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }
  std::uint64_t mask_ = 0;
};

// What the program says to its socket of sd_notify(3).
class Notices {
 public:
  Notices(int socket, int caller) : socket_(socket), caller_(caller) {}

  [[nodiscard]] pollfd polled() const { return {socket_, POLLIN, 0}; }

  // All is taken in, so that nobody waits at a full socket; the first READY=1 is handed on.
  void handle() {
    Result<bool> ready = hear_ready(socket_);
    if (ready.failed()) socket_ = -1;
    if (ready.failed() || !ready.value() || caller_ < 0) return;
    // A caller that has gone is told nothing; the program runs on.
    if (Result<Fd> barrier = send_notice(caller_, "READY=1", patience); !barrier.failed()) barrier_ = std::move(barrier.value());
    caller_ = -1;
  }

  // The program has ended: what it said is in the socket still.
  void drain() {
    if (socket_ >= 0) handle();
    await_barrier(barrier_, patience);
  }

 private:
  static constexpr int patience = 5000;  // milliseconds, as systemd-notify has it
  int socket_;
  int caller_;
  Fd barrier_;
};

Status pass_on(const Console* console, int pidfd) {
  while (const int signal = SignalForwarding::next()) {
    if (signal == SIGWINCH) {
      if (console != nullptr) console->window_changed();
      continue;
    }
    if (signal == SIGCONT && console != nullptr) console->continued();
    if (Result<bool> sent = send_signal(pidfd, signal); sent.failed()) return sent.status();
  }
  return {};
}

Status attend(Console* console, Notices& notices, int pidfd) {
  constexpr std::size_t others = 3;
  pollfd polled[others + Console::poll_count];
  for (;;) {
    polled[0] = {pidfd, POLLIN, 0};
    polled[1] = {SignalForwarding::descriptor(), POLLIN, 0};
    polled[2] = notices.polled();
    const int timeout = console == nullptr ? -1 : console->prepare(polled + others);
    const int ready = sys::poll(polled, console == nullptr ? others : std::size(polled), timeout);
    if (ready < 0 && ready != -EINTR) return Status(-ready, "poll");
    if (ready <= 0) continue;
    if (polled[1].revents != 0) STRATA_TRY(pass_on(console, pidfd));
    if (console != nullptr) console->handle(polled + others);
    if (polled[2].revents != 0) notices.handle();
    if (polled[0].revents != 0) return {};
  }
}

// Between hold_signals and the foreground that takes over.
std::unique_ptr<SignalForwarding> held;

}  // namespace

Status hold_signals() {
  auto signals = std::make_unique<SignalForwarding>();
  STRATA_TRY(signals->begin());
  held = std::move(signals);
  return {};
}

int interruption() { return first_interruption; }

int signal_descriptor() { return SignalForwarding::descriptor(); }

int next_signal() { return SignalForwarding::next(); }

namespace {

Result<ExitStatus> how_it_ended(int pidfd) {
  Result<ExitStatus> status = exit_status(pidfd);
  // Somebody else in this process has reaped it.
  if (!status.failed() && !status.value().known) return Status(ECHILD, "waitid");
  return status;
}

}  // namespace

Result<ExitStatus> foreground(int pidfd, int console, int notify, int caller) {
  const JobControl job_control;
  // Handlers first: from here on a signal reaches the program, and does not leave the terminal in raw mode.
  if (held == nullptr) STRATA_TRY(hold_signals());
  const std::unique_ptr<SignalForwarding> signals = std::move(held);
  Notices notices(notify, caller);
  if (console < 0) {
    STRATA_TRY(attend(nullptr, notices, pidfd));
    notices.drain();
    return how_it_ended(pidfd);
  }
  Console copying(console);
  STRATA_TRY(copying.begin());
  STRATA_TRY(attend(&copying, notices, pidfd));
  copying.drain();
  notices.drain();
  return how_it_ended(pidfd);
}

}  // namespace strata::host
