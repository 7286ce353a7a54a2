// Sitting down in front of a container that its keeper keeps: what `attach` does.
#pragma once

#include <optional>
#include <string>

#include "../error.hpp"
#include "process.hpp"

namespace strata::host {

// Copies standard input to the container, if `input`, and its output to ours, until it has exited; no value if we have left before that: because
// `keys` were typed one after the other (none: they cannot be), or a signal asked us to. With a `terminal` ours is in raw mode meanwhile, and the
// container's is as large. `pidfd`: of the process to which signals are passed on, or -1. Signals are the process's, as with `foreground`.
Result<std::optional<ExitStatus>> attach(const std::string& socket, int pidfd, bool terminal, bool input, const std::string& keys);

}  // namespace strata::host
