// What strata-keeper is told on its command line, word by word. src/instance/keeper.ts writes it.
#pragma once

#include <cstdint>
#include <string_view>

#include "../core/fd.hpp"

namespace strata::keeper {

struct Orders {
  const char* id = "";        // for people who look at ps
  Fd report;                  // to whom to say that all is in place, or invalid
  int pid = 0;                // of the container's process
  Fd pidfd;                   // of the same
  Fd directory;               // of the container in the store, with its lock
  Fd listener;                // for those who attach
  Fd master;                  // of the container's terminal, or invalid; then the next three are
  Fd input;                   // to its standard input, if that is kept open
  Fd output;                  // from its standard output
  Fd errors;                  // and its standard error
  Fd events;                  // file in which the kernel counts the processes killed for want of memory, or invalid
  Fd around;                  // the same of the slice around the container's scope, or invalid
  std::uint64_t before = 0;   // what that had counted before the container began
  bool logs = false;          // driver json-file, and not none
  std::int64_t max_size = 0;  // bytes of a log file; 0: no limit
  int max_files = 1;
  const char* const* command = nullptr;  // executed at the end, if it has words
};

// False if that is no command line of ours. The descriptors are not passed on to `command`.
bool read_orders(int argc, char** argv, Orders& ret_orders);

}  // namespace strata::keeper
