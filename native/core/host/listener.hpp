// The seccomp listener of a container's process on its way to the agent that will answer (config-linux.md, The Container Process State).
#pragma once

#include <string>

#include "../error.hpp"
#include "../message.hpp"

namespace strata::host {

struct SeccompAgent {
  std::string path;   // of its socket
  std::string state;  // what it is told: a container process state, JSON
};

// Strata-init has said that it is about to load its filter: lets it, takes the listener, and sends it to the agent. `word` is the memory of
// message.hpp. Success also when the kernel refused the filter, which strata-init tells by itself. After a failure it waits, to be killed.
Status pass_listener(int sync, int pidfd, int memory, const SeccompAgent& agent);

}  // namespace strata::host
