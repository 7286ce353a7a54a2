// Into a cgroup that has as many processes as it may, and out of it: the kernel's limit (pids.max) is on births, and a move is none.
#pragma once

#include <string>
#include <vector>

#include "../error.hpp"

namespace strata::host {

// In the hierarchy that counts processes, the files that take the pid of a process to be moved.
struct PidsFiles {
  std::string own;        // into our own cgroup
  std::string container;  // into the container's
};

// `entrances`: such files of the container's, of all hierarchies. ENOENT if none counts, or ours cannot be found.
Result<PidsFiles> find_pids_files(const std::vector<std::string>& entrances);
// The same from the texts of /proc/self/cgroup (cgroups(7)) and /proc/self/mountinfo (proc_pid_mountinfo(5)).
Result<PidsFiles> find_pids_files(const std::vector<std::string>& entrances, const std::string& cgroup, const std::string& mounts);

Status move_process(const std::string& file, int pid);

}  // namespace strata::host
