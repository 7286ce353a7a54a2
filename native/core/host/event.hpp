// Waiting for what happens to a container: a want of memory in its cgroup, the end of its process.
#pragma once

#include <string>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

// cgroup v1: an eventfd that the memory controller counts up each time the limit is hit and nothing can be reclaimed. v2: memory.events.
Result<Fd> watch_memory(const std::string& directory, int version);

// The first of: `memory` (of watch_memory, with its version), `exit` (a pidfd), `cancel` (the other end of this pipe is closed), `timeout` (after so
// many milliseconds, -1 for never). A descriptor that is -1 is left out. What `memory` has heard is forgotten when it is told.
Result<std::string> wait_event(int pidfd, int memory, int version, int cancel, int timeout);

}  // namespace strata::host
