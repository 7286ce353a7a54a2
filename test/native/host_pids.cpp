// Which files move a process out of a cgroup that has as many as it may, and into it: from what the kernel tells of cgroups and mounts.
#include <cerrno>

#include "core/host/pids.hpp"
#include "harness.hpp"

using strata::Result;
using strata::host::find_pids_files;
using strata::host::PidsFiles;

namespace {

bool finds(Result<PidsFiles> result, const std::string& own, const std::string& container) {
  return !result.failed() && result.value().own == own && result.value().container == container;
}

}  // namespace

int main() {
  const std::string unified =
      "21 1 0:20 / /proc rw - proc proc rw\n"
      "30 21 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
  const std::string v1 =
      "30 1 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "31 1 0:31 / /sys/fs/cgroup/pids rw shared:9 master:1 - cgroup cgroup rw,pids\n"
      "32 1 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  const std::vector<std::string> in_v1 = {"/sys/fs/cgroup/unified/c/cgroup.procs", "/sys/fs/cgroup/memory/c/tasks", "/sys/fs/cgroup/pids/c/tasks"};

  harness::test("cgroup v2", [&] {
    CHECK(finds(find_pids_files({"/sys/fs/cgroup/a/c/cgroup.procs"}, "0::/user.slice/x.scope\n", unified),
                "/sys/fs/cgroup/user.slice/x.scope/cgroup.procs", "/sys/fs/cgroup/a/c/cgroup.procs"));
    CHECK(
        finds(find_pids_files({"/sys/fs/cgroup/c/cgroup.procs"}, "0::/\n", unified), "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/c/cgroup.procs"));
  });

  harness::test("cgroup v1, beside v2: the hierarchy that counts", [&] {
    CHECK(finds(find_pids_files(in_v1, "3:memory:/m\n2:cpu,pids:/p\n0::/u\n", v1), "/sys/fs/cgroup/pids/p/tasks", "/sys/fs/cgroup/pids/c/tasks"));
  });

  harness::test("v1 without the controller: v2 has it", [&] {
    CHECK(
        finds(find_pids_files(in_v1, "3:memory:/m\n0::/u\n", v1), "/sys/fs/cgroup/unified/u/cgroup.procs", "/sys/fs/cgroup/unified/c/cgroup.procs"));
  });

  harness::test("a mount that begins below the root of its hierarchy", [&] {
    const std::string part = "30 1 0:30 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    const std::vector<std::string> entrance = {"/sys/fs/cgroup/c/cgroup.procs"};
    CHECK(finds(find_pids_files(entrance, "0::/box/us\n", part), "/sys/fs/cgroup/us/cgroup.procs", entrance[0]));
    CHECK(finds(find_pids_files(entrance, "0::/box\n", part), "/sys/fs/cgroup/cgroup.procs", entrance[0]));
    CHECK(find_pids_files(entrance, "0::/boxer\n", part).status().error() == ENOENT);
  });

  harness::test("nothing that counts, or texts that say nothing", [&] {
    for (const char* cgroup : {"", "\n", "0", "0::", "3:memory:/m\n", "::/\n"}) {
      CHECK(find_pids_files(in_v1, cgroup, "30 1 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n").status().error() == ENOENT);
    }
    for (const char* mounts : {"", "\n", "30", "30 1 0:30 / /sys/fs/cgroup rw cgroup2", "30 1 0:30 / /other rw - cgroup2 cgroup2 rw\n"}) {
      CHECK(find_pids_files({"/sys/fs/cgroup/c/cgroup.procs"}, "0::/\n", mounts).status().error() == ENOENT);
    }
  });
  return harness::finish();
}
