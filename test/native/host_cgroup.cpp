// Needs a cgroup hierarchy that it may write to; its own cgroups only, all below one that it makes.
#include "core/host/cgroup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "core/host/file.hpp"
#include "harness.hpp"

using namespace strata;
using namespace strata::host;
using harness::test;

namespace {

int idle_child(const std::vector<std::string>& directories) {
  const int pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  for (const std::string& directory : directories) CHECK(!write_text(directory + "/cgroup.procs", std::to_string(pid)).failed());
  return pid;
}

bool exists(const std::string& path) { return file_status(path).value().has_value(); }

bool was_killed(int pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

}  // namespace

int main() {
  // Two hierarchies of version 1, or version 2 twice.
  const bool hybrid = exists("/sys/fs/cgroup/pids/cgroup.procs");
  const std::string first = hybrid ? "/sys/fs/cgroup/pids" : "/sys/fs/cgroup";
  const std::string second = hybrid ? "/sys/fs/cgroup/freezer" : "/sys/fs/cgroup";
  const std::string name = "strata-test-" + std::to_string(getpid());
  const std::string top = first + "/" + name;
  const std::string twin = second + "/" + name;
  if (make_directory(top, 0755).failed()) {
    harness::skip("cgroups", "no cgroup can be made here");
    return harness::finish();
  }
  if (hybrid) CHECK(!make_directory(twin, 0755).failed());

  test("signal_cgroup reaches each process below, once", [&] {
    CHECK(!make_directories(top + "/a/b", 0755).failed());
    const int outer = idle_child({top, twin});
    const int inner = idle_child({top + "/a/b", twin});
    const int other = idle_child({});
    CHECK(signal_cgroup({top, twin, first + "/nowhere"}, 0).value() == 2);
    CHECK(signal_cgroup({top, twin}, SIGKILL).value() == 2);
    CHECK(was_killed(outer) && was_killed(inner));
    CHECK(waitpid(other, nullptr, WNOHANG) == 0);
    kill(other, SIGKILL);
    CHECK(was_killed(other));
    CHECK(signal_cgroup({first + "/nowhere"}, SIGKILL).value() == 0);
  });

  test("signal_cgroup with more processes than it may have descriptors", [&] {
    std::vector<int> pids;
    for (int i = 0; i < 40; i++) pids.push_back(idle_child({top}));
    CHECK(signal_cgroup({top}, SIGKILL).value() == 40);
    for (const int pid : pids) CHECK(was_killed(pid));
  });

  test("remove_cgroup waits for the last process, and gives up in time", [&] {
    CHECK(!make_directory(top + "/busy", 0755).failed());
    const int pid = idle_child({top + "/busy"});
    CHECK(remove_cgroups({{first, name + "/busy"}}, 100).error() == EBUSY);
    const int killer = fork();
    if (killer == 0) {
      usleep(100000);
      kill(pid, SIGKILL);
      _exit(0);
    }
    CHECK(!remove_cgroups({{first, name + "/busy"}}, 10000).failed());
    CHECK(was_killed(pid));
    waitpid(killer, nullptr, 0);
    CHECK(!remove_cgroups({{first, name + "/busy"}}, 0).failed());  // it is gone already
  });

  test("remove_cgroup removes what a container nested, deeper than descriptors and paths allow", [&] {
    CHECK(!make_directories(top + "/nest/x/y", 0755).failed());
    const std::string link = std::string(200, 'd');
    const int start = open((top + "/nest").c_str(), O_DIRECTORY | O_CLOEXEC);
    int at = start;
    int depth = 0;
    while (depth < 30 && mkdirat(at, link.c_str(), 0755) == 0) {
      const int next = openat(at, link.c_str(), O_DIRECTORY | O_CLOEXEC);
      close(at);
      at = next;
      depth++;
    }
    close(at);
    CHECK(depth == 30);  // 6000 bytes of path
    CHECK(!remove_cgroups({{first, name + "/nest"}}, 1000).failed());
    CHECK(!exists(top + "/nest"));
  });

  test("remove_cgroup takes back marked parents while they are empty", [&] {
    CHECK(!make_directories(top + "/kept/marked/also/leaf", 0755).failed());
    CHECK(!make_directories(top + "/kept/marked/other", 0755).failed());
    CHECK(setxattr((top + "/kept/marked").c_str(), "trusted.strata", "1", 1, 0) == 0);
    CHECK(setxattr((top + "/kept/marked/also").c_str(), "trusted.strata", "1", 1, 0) == 0);
    CHECK(!remove_cgroups({{first, "/" + name + "//kept/marked/also/leaf/"}}, 1000).failed());
    CHECK(!exists(top + "/kept/marked/also"));
    CHECK(exists(top + "/kept/marked"));
    CHECK(!remove_cgroups({{first, name + "/kept/marked/other"}}, 1000).failed());
    CHECK(!exists(top + "/kept/marked"));
    CHECK(exists(top + "/kept"));
  });

  test("remove_cgroup never leaves its hierarchy", [&] {
    CHECK(remove_cgroups({{first, ""}}, 0).error() == EINVAL);
    CHECK(remove_cgroups({{first, "/"}}, 0).error() == EINVAL);
    CHECK(remove_cgroups({{first, name + "/.."}}, 0).error() == EINVAL);
    CHECK(remove_cgroups({{first, "../pids/" + name}}, 0).error() == EINVAL);
  });

  CHECK(!remove_cgroups({{first, name}}, 5000).failed());
  CHECK(!remove_cgroups({{second, name}}, 5000).failed());
  return harness::finish();
}
