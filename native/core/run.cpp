#include "run.hpp"

namespace strata {
namespace {

Status carry_out(Context& context, const Op& op, std::uint32_t index) {
  const Fields fields = op.fields();
  switch (op.code) {
    case OpCode::cgroup_make:
    case OpCode::cgroup_write:
    case OpCode::cgroup_device_program:
    case OpCode::seccomp_compile:
    case OpCode::clone: return {};  // the runtime's part
    case OpCode::enter: context.entered = true; return {};
    case OpCode::propagation: return op_propagation(context, fields);
    case OpCode::root_bind: return op_root_bind(context, fields);
    case OpCode::root_overlay: return op_root_overlay(context, fields);
    case OpCode::mount: return op_mount(context, fields);
    case OpCode::bind: return op_bind(context, fields, index);
    case OpCode::remount: return op_remount(context, fields);
    case OpCode::directory: return op_directory(context, fields);
    case OpCode::symlink: return op_symlink(context, fields);
    case OpCode::device: return op_device(context, fields);
    case OpCode::console: return op_console(context, fields);
    case OpCode::runtime_hooks: return op_runtime_hooks(context);
    case OpCode::hook: return op_hook(context, fields);
    case OpCode::mask: return op_mask(context, fields);
    case OpCode::readonly: return op_readonly(context, fields);
    case OpCode::sysctl: return op_sysctl(context, fields);
    case OpCode::root_readonly: return op_root_readonly(context);
    case OpCode::pivot: return op_pivot(context, fields);
    case OpCode::hostname: return op_hostname(fields);
    case OpCode::domainname: return op_domainname(fields);
    case OpCode::loopback_up: return op_loopback_up();
    case OpCode::keyring: return op_keyring(context, fields);
    case OpCode::oom_score_adj: return op_oom_score_adj(context, fields);
    case OpCode::rlimit: return op_rlimit(fields);
    case OpCode::cwd: return op_cwd(fields);
    case OpCode::executable: return op_executable(context, fields);
    case OpCode::home: return op_home(context, fields);
    case OpCode::no_new_privileges: return op_no_new_privileges(context);
    case OpCode::seccomp_load: return op_seccomp_load(context);
    case OpCode::bounding: return op_bounding(fields);
    case OpCode::user: return op_user(context, fields);
    case OpCode::capabilities: return op_capabilities(fields);
    case OpCode::personality: return op_personality(fields);
    case OpCode::cpu_affinity: return context.entered ? op_cpu_affinity(fields) : Status();
    case OpCode::scheduler: return op_scheduler(fields);
    case OpCode::io_priority: return op_io_priority(context, fields);
    case OpCode::memory_policy: return op_memory_policy(fields);
    case OpCode::apparmor_profile: return op_apparmor_profile(context, fields);
    case OpCode::selinux_label: return op_selinux_label(context, fields);
    case OpCode::mount_label: return op_mount_label(context, fields);
    case OpCode::ready: return op_ready(context);
    case OpCode::exec: return op_exec(context, fields);
  }
  return {};
}

}  // namespace

Status run_plan(Context& context, int& ret_operation) {
  for (Plan::Iterator at(context.plan); !at.done();) {
    const std::uint32_t index = at.index();
    const Op op = at.next();
    ret_operation = static_cast<int>(index);
    STRATA_TRY(carry_out(context, op, index));
  }
  return {};
}

}  // namespace strata
