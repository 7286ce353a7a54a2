// What is done to cgroups after they were made: signalling what runs in them, and removing them.
#pragma once

#include <string>
#include <vector>

#include "../error.hpp"

namespace strata::host {

// Signals every process in the directories and below them, each once even if several hierarchies list it; how many there were. A directory
// that is gone has no processes.
Result<int> signal_cgroup(const std::vector<std::string>& directories, int signal);

struct Cgroup {
  std::string hierarchy;  // mount point
  std::string path;       // below it
};

// Removes cgroups with all cgroups below them, then each parent that is marked with the extended attribute `trusted.strata`, as long as they are
// empty. EBUSY is retried up to `timeout` milliseconds for all together, since a process that has died leaves its cgroup a little later. What is
// gone already is no failure; EINVAL for a path that names the hierarchy itself or leaves it. All are tried; of several failures one that is not
// EBUSY or ENOTEMPTY is told.
Status remove_cgroups(const std::vector<Cgroup>& cgroups, int timeout);

}  // namespace strata::host
