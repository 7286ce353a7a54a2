// Cgroups are made, here in a directory that looks like a hierarchy.
#include "core/cgroup.hpp"

#include <sys/stat.h>
#include <cerrno>
#include <fstream>

#include "harness.hpp"
#include "writer.hpp"

using namespace strata;
using harness::test;

namespace {

Status make(const std::string& hierarchy, const std::string& path, const std::string& controller) {
  const Writer writer = Writer().text(hierarchy).text(path).u32(1).text(controller).u32(0);
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
    CHECK(content == "+memory");
  });

  test("a controller with a name that no controller can have is refused", [&] {
    const Status status = make(scratch.path(), "/b", std::string(300, 'x'));
    CHECK(status.error() == EINVAL && status.path() == control);
  });

  return harness::finish();
}
