// Standing in front of a container: what `run` does while the program runs.
#pragma once

#include "../error.hpp"
#include "process.hpp"

namespace strata::host {

// Passes this process's signals on to the process of `pidfd` until that has exited, and tells how it ended. `console` is the master of its
// pseudoterminal or -1; with one, standard input is copied to it and its output to standard output, the window size follows the user's
// terminal, and the user's terminal is in raw mode. Handlers, modes and flags are put back before it returns. `notify` is the program's socket of
// sd_notify(3) or -1, `caller` (of connect_notify, or -1) who is told when it is ready.
//
// Signals are the process's and so is this: EBUSY for a second call at the same time. SIGKILL and SIGSTOP cannot be passed on; SIGCHLD, SIGPIPE
// and SIGURG are about this process; SIGTTIN and SIGTTOU are its own job control; synchronous faults are its own; and what it was told to ignore
// (nohup, background jobs of a simple shell) stays ignored, but for SIGCHLD: else it could not be told how the program ended. SIGPIPE is the
// process's to ignore.
Result<ExitStatus> foreground(int pidfd, int console, int notify = -1, int caller = -1);

// Begins to keep those signals before there is a process to pass them to, so that none ends this one in the middle of making a container;
// `foreground` takes over. EBUSY as above.
Status hold_signals();
// The first of SIGHUP, SIGINT, SIGQUIT and SIGTERM that came since hold_signals, 0 for none.
int interruption();
// While signals are held: readable when one has come, and which one that was, 0 for none.
int signal_descriptor();
int next_signal();

}  // namespace strata::host
