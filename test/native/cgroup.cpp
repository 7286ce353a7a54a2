// Cgroups are made, here in a directory that looks like a hierarchy.
#include "core/cgroup.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <fstream>

#include "harness.hpp"
#include "writer.hpp"

using namespace strata;
using harness::test;

namespace {

Status make(const std::string& hierarchy, const std::string& path, const std::string& controller) {
  const Writer writer = Writer().text(hierarchy).text(path).u32(1).text(controller).u32(1).text("cpu").u32(0);
  return op_cgroup_make({writer.bytes().data(), writer.bytes().size()});
}

}  // namespace

int main() {
  const harness::Scratch scratch;
  const std::string control = scratch / "cgroup.subtree_control";

  test("a controller is switched on above a new cgroup", [&] {
    std::ofstream(control).close();
    CHECK(!make(scratch.path(), "/a", "memory").failed());
    struct stat status {};
    CHECK(stat((scratch / "a").c_str(), &status) == 0 && S_ISDIR(status.st_mode));
    std::string content;
    std::getline(std::ifstream(control), content);
    CHECK(content == "+memory +cpu");
  });

  test("a controller with a name that no controller can have is refused", [&] {
    const Status status = make(scratch.path(), "/b", std::string(300, 'x'));
    CHECK(status.error() == EINVAL && status.path() == control);
  });

  const auto make_group = [](const std::string& path, bool shared) {
    const Writer writer = Writer().text(path).u32(shared ? 1 : 0);
    return op_rdt_make({writer.bytes().data(), writer.bytes().size()});
  };
  test("a resctrl group that exists is refused, unless it is shared", [&] {
    CHECK(!make_group(scratch / "group", false).failed());
    CHECK(!make_group(scratch / "group", true).failed());
    CHECK(make_group(scratch / "group", false).error() == EEXIST);
    CHECK(make_group(scratch / "none/group", true).error() == ENOENT);
  });

  const char* owned = "a v2 cgroup is given away with those files that it has";
  if (geteuid() == 0) {
    test(owned, [&] {
      const std::string cgroup = scratch / "owned";
      CHECK(mkdir(cgroup.c_str(), 0755) == 0);
      for (const char* name : {"/cgroup.procs", "/memory.max"}) std::ofstream(cgroup + name).close();
      const Writer writer = Writer().text(cgroup).u32(2).text("cgroup.procs").text("cgroup.threads").u32(12345);
      CHECK(!op_cgroup_own({writer.bytes().data(), writer.bytes().size()}).failed());
      const auto owner = [](const std::string& path) {
        struct stat status {};
        return stat(path.c_str(), &status) == 0 ? static_cast<int>(status.st_uid) : -1;
      };
      CHECK(owner(cgroup) == 12345 && owner(cgroup + "/cgroup.procs") == 12345 && owner(cgroup + "/memory.max") == 0);
    });
  } else {
    harness::skip(owned, "needs root");
  }

  return harness::finish();
}
