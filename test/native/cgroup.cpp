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

  const auto write = [&](const char* name, const char* text) { std::ofstream(scratch / name) << text; };
  const auto check = [&](const char* name) {
    const Writer writer = Writer().text(scratch / name);
    return op_cpuset_check({writer.bytes().data(), writer.bytes().size()});
  };
  test("a cpuset of which the kernel gives nothing is told", [&] {
    write("cpuset.mems", "\n");
    write("cpuset.mems.effective", "0\n");
    CHECK(!check("cpuset.mems").failed());
    write("cpuset.cpus", "1-2,10-12\n");
    for (const char* given : {"0-1\n", "2\n", "0,5-10\n", "11\n", "0-99\n"}) {
      write("cpuset.cpus.effective", given);
      CHECK(!check("cpuset.cpus").failed());
    }
    for (const char* given : {"0\n", "3-9,13\n"}) {
      write("cpuset.cpus.effective", given);
      CHECK(check("cpuset.cpus").failed());
    }
    CHECK(check("cpuset.cpus").detail() == std::string("of 1-2,10-12 the cgroup above has none, only 3-9,13"));
    CHECK(!lacks_cpus(scratch.path().c_str()));
    write("cpuset.cpus.effective", "\n");
    CHECK(check("cpuset.cpus").detail() == std::string("of 1-2,10-12 the cgroup above has none"));
    CHECK(lacks_cpus(scratch.path().c_str()));
    CHECK(!lacks_cpus((scratch / "none").c_str()));
  });

  test("a partition that is none is told, also where only its CPUs have changed", [&] {
    write("cpuset.cpus.effective", "1\n");
    write("cpuset.cpus.partition", "isolated\n");
    CHECK(!check("cpuset.cpus").failed() && !check("cpuset.cpus.partition").failed());
    write("cpuset.cpus.partition", "root invalid (Parent is not a partition root)\n");
    const std::string detail = "the partition is root invalid (Parent is not a partition root)";
    CHECK(check("cpuset.cpus").detail() == detail && check("cpuset.cpus.partition").detail() == detail);
    CHECK(unlink((scratch / "cpuset.cpus.partition").c_str()) == 0);
    CHECK(!check("cpuset.cpus").failed());
  });

  test("CPUs that a partition has to itself are not to be had beside it", [&] {
    const std::string top = scratch / "top";
    CHECK(mkdir(top.c_str(), 0755) == 0);
    const auto in_top = [&](const char* name, const char* text) { std::ofstream(top + name) << text; };
    const auto claim = [&](const char* name, const char* cpus) {
      const Writer writer = Writer().text(top + name).text(cpus);
      return op_cpuset_claim({writer.bytes().data(), writer.bytes().size()});
    };
    CHECK(!claim("/a", "1").failed());
    for (const char* name : {"/alone", "/member", "/broken"}) CHECK(mkdir((top + name).c_str(), 0755) == 0);
    in_top("/cpuset.cpus.effective", "0-1,4\n");
    in_top("/alone/cpuset.cpus.partition", "isolated\n");
    in_top("/alone/cpuset.cpus", "2-3\n");
    in_top("/member/cpuset.cpus.partition", "member\n");
    in_top("/member/cpuset.cpus", "0-7\n");
    in_top("/broken/cpuset.cpus.partition", "root invalid (Parent is not a partition root)\n");
    in_top("/broken/cpuset.cpus", "0-7\n");
    for (const char* cpus : {"0-1", "4", "1,4-9", "5", "\n"}) CHECK(!claim("/a", cpus).failed());
    for (const char* cpus : {"2", "0-3", "3-8", "0-8:1/4"}) CHECK(claim("/a", cpus).path() == top + "/alone");
    CHECK(claim("/a", "2").detail() == std::string("it is a partition, with the CPUs 2-3 to itself"));
    CHECK(!claim("/alone", "0-3").failed());
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
