// The user's terminal in raw mode, and back whatever happens: at the end of the scope, at exit(3), and on a fatal signal.
#pragma once

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

bool is_terminal(int descriptor);
// The first of standard input, output and error that is a terminal; -1 if none is.
int controlling_descriptor();
// Characters; all 0 if the terminal has no size, or is none (-1).
struct WindowSize {
  unsigned short height, width, x_pixels, y_pixels;
};
WindowSize window_size(int terminal);
// The size of the terminal `from` for the terminal `to`; nothing if `from` has none (-1, or 0 x 0).
void copy_window_size(int from, int to);
// Is this process in the foreground of its terminal? Only then may it change the terminal's mode without being stopped.
bool in_foreground(int terminal);
// A slave of this pseudoterminal master: while one is open, the master does not end when the container's last slave closes.
Fd open_slave(int master);

// At most one exists in a process.
class RawMode {
 public:
  RawMode() = default;
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  ~RawMode() { leave(); }

  // Waits while a job-control shell keeps the process in the background.
  Status enter(int terminal);
  // Again, after something else has changed the mode: a shell does while the process is stopped.
  void renew() const;
  void leave();

 private:
  int terminal_ = -1;
};

}  // namespace strata::host
