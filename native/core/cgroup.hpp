// The operations of a plan that make cgroups, and the mark by which removal knows them.
#pragma once

#include "error.hpp"
#include "fd.hpp"
#include "plan.hpp"

namespace strata {

// On every parent cgroup that strata made on the way to a container's: `trusted.*` needs privileges and travels nowhere.
constexpr const char* cgroup_mark = "trusted.strata";

// The file that was written last: the rules for devices are many writes to one file.
struct OpenCgroupFile {
  Text path;
  Fd file;
};

Status op_cgroup_make(Fields fields);
Status op_cgroup_write(OpenCgroupFile& open, Fields fields);
Status op_cgroup_device_program(Fields fields);
Status op_cgroup_own(Fields fields);
Status op_rdt_make(Fields fields);
Status op_cpuset_claim(Fields fields);
Status op_cpuset_check(Fields fields);

// Is this v2 cgroup one whose CPUs are all somebody else's? No process can be in it.
bool lacks_cpus(const char* directory);

}  // namespace strata
