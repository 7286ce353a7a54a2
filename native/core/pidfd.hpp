// What the kernel tells of a process through its pidfd after that has exited.
#pragma once

#include <optional>

namespace strata {

// How another's child ended, as wait(2) reports it. Only once it has been reaped, and since Linux 6.15.
std::optional<int> status_of_reaped(int pidfd);

}  // namespace strata
