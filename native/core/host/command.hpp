// Running a program on the host to its end: hooks, ps.
#pragma once

#include <string>
#include <vector>

#include "../error.hpp"
#include "process.hpp"

namespace strata::host {

struct Command {
  std::string path;
  std::vector<std::string> args;  // argv, the first included
  std::vector<std::string> env;
  std::string input;  // what it reads on its standard input
  int timeout = 0;    // milliseconds, 0 for none; then its process group is killed
};

struct CommandResult {
  ExitStatus status;
  bool timed_out = false;
  std::string output;  // the first 64 KiB of each
  std::string errors;
};

// In a session of its own, in this process's working directory, with default signals and no descriptors but its three pipes. Fails only when
// it could not be started. Output that a daemon it left behind still writes is not waited for. SIGPIPE is the process's to ignore.
Result<CommandResult> run_command(const Command& command);

// Executes a program in place of this one, whatever threads it has: `args[0]` is its path. It keeps the environment and, of the descriptors that are
// close-on-exec, standard input, output and error. Returns on a failure only.
Status become(const std::vector<std::string>& args);

}  // namespace strata::host
