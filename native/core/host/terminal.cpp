#include "terminal.hpp"

#include <fcntl.h>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

// The kernel's own layout: libc's struct termios is another, and its header cannot stand beside this one.
#include <asm/ioctls.h>
#include <asm/termbits.h>

namespace strata::host {
namespace {

constexpr int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};

// What a signal handler needs, so it can be no member. `raw_terminal` is -1 while nothing is to be restored.
std::atomic<int> raw_terminal = -1;
termios saved_mode;
struct sigaction saved_actions[std::size(fatal_signals)];

// Async-signal-safe. A background process that changes its terminal is stopped by SIGTTOU, unless that is blocked.
void restore_mode() {
  const int terminal = raw_terminal.exchange(-1);
  if (terminal < 0) return;
  std::uint64_t mask = 0;
  sys::set_signal_mask(sys::all_signals, &mask);
  sys::ioctl(terminal, TCSETS, &saved_mode);
  sys::set_signal_mask(mask, nullptr);
}

void restore_actions() {
  for (std::size_t i = 0; i < std::size(fatal_signals); i++) sys::signal_action(fatal_signals[i], &saved_actions[i], nullptr);
}

// Whoever handled the signal before does so next: a fault happens again on return, an abort(3) or a sent signal is raised again.
void on_fatal_signal(int signal, siginfo_t* info, void*) {
  restore_mode();
  restore_actions();
  if (info->si_code <= 0) sys::kill(sys::getpid(), signal);
}

termios raw(termios mode) {
  mode.c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  mode.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  mode.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  mode.c_cflag = (mode.c_cflag & ~static_cast<tcflag_t>(CSIZE | PARENB)) | CS8;
  mode.c_cc[VMIN] = 1;
  mode.c_cc[VTIME] = 0;
  return mode;
}

// Applies raw mode to a terminal whose mode has been saved. EINTR: SIGTTOU stopped the process, and it goes on in the foreground.
int apply_raw(int terminal) {
  termios mode = raw(saved_mode);
  int result;
  do {
    result = sys::ioctl(terminal, TCSETS, &mode);
  } while (result == -EINTR);
  return result;
}

}  // namespace

bool is_terminal(int descriptor) {
  termios mode;
  return sys::ioctl(descriptor, TCGETS, &mode) == 0;
}

int controlling_descriptor() {
  for (int descriptor = 0; descriptor < 3; descriptor++) {
    if (is_terminal(descriptor)) return descriptor;
  }
  return -1;
}

WindowSize window_size(int terminal) {
  WindowSize size{};
  if (terminal < 0 || sys::ioctl(terminal, TIOCGWINSZ, &size) < 0 || size.height == 0 || size.width == 0) return {};
  return size;
}

void copy_window_size(int from, int to) {
  WindowSize size = window_size(from);
  if (size.height != 0) sys::ioctl(to, TIOCSWINSZ, &size);
}

bool in_foreground(int terminal) {
  int group = 0;
  return sys::ioctl(terminal, TIOCGPGRP, &group) == 0 && group == sys::getpgid(0);
}

Fd open_slave(int master) {
  const int slave = sys::ioctl(master, TIOCGPTPEER, static_cast<unsigned long>(O_RDWR | O_NOCTTY | O_CLOEXEC));
  return slave < 0 ? Fd() : Fd(slave);
}

Status RawMode::enter(int terminal) {
  if (const int result = sys::ioctl(terminal, TCGETS, &saved_mode); result < 0) return Status(-result, "ioctl(TCGETS)");
  static const int registered = std::atexit(restore_mode);
  if (registered != 0) return Status(ENOMEM, "atexit");
  struct sigaction action {};
  action.sa_sigaction = on_fatal_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigfillset(&action.sa_mask);
  for (std::size_t i = 0; i < std::size(fatal_signals); i++) sys::signal_action(fatal_signals[i], &action, &saved_actions[i]);
  raw_terminal = terminal;
  terminal_ = terminal;
  if (const int result = apply_raw(terminal); result < 0) {
    leave();
    return Status(-result, "ioctl(TCSETS)");
  }
  return {};
}

void RawMode::renew() const {
  if (terminal_ >= 0 && in_foreground(terminal_)) apply_raw(terminal_);
}

void RawMode::leave() {
  if (terminal_ < 0) return;
  restore_mode();
  restore_actions();
  terminal_ = -1;
}

}  // namespace strata::host
