#include "run.hpp"

#include <sys/mman.h>
#include <cerrno>
#include <new>

#include <linux/sched.h>

namespace strata {
namespace {

Status carry_out(Context& context, const Op& op, std::uint32_t index) {
  const Fields fields = op.fields();
  switch (op.code) {
    case OpCode::cgroup_make:
    case OpCode::cgroup_write:
    case OpCode::cgroup_device_program:
    case OpCode::cgroup_own:
    case OpCode::rdt_make:
    case OpCode::cpuset_claim:
    case OpCode::cpuset_check:
    case OpCode::seccomp_compile:
    case OpCode::id_map_helper:
    case OpCode::clone: return {};  // the runtime's part
    case OpCode::enter: context.entered = true; return {};
    case OpCode::host_bind: return op_host_bind(fields);
    case OpCode::propagation: return op_propagation(context, fields);
    case OpCode::root_bind: return op_root_bind(context, fields);
    case OpCode::root_overlay: return op_root_overlay(context, fields);
    case OpCode::mount: return op_mount(context, fields);
    case OpCode::bind: return op_bind(context, fields, index);
    case OpCode::remount: return op_remount(context, fields);
    case OpCode::directory: return op_directory(context, fields);
    case OpCode::symlink: return op_symlink(context, fields);
    case OpCode::device: return op_device(context, fields, index);
    case OpCode::console: return op_console(context, fields);
    case OpCode::stdio: return op_stdio(fields);
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
    case OpCode::cwd: return op_cwd(context, fields);
    case OpCode::executable: return op_executable(context, fields);
    case OpCode::home: return op_home(context, fields);
    case OpCode::no_new_privileges: return op_no_new_privileges(context);
    case OpCode::seccomp_load: return op_seccomp_load(context, index);
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
    case OpCode::exec: return op_exec(context);
    case OpCode::net_device: return op_net_device(context, fields, index);
  }
  return {};
}

// What must be done by the very process that becomes the program. The filter may deny clone3(2), so it is loaded behind that.
bool belongs_to_second(const Op& op) {
  return op.code == OpCode::seccomp_load || op.code == OpCode::exec || (op.code == OpCode::scheduler && !scheduler_is_inherited(op.fields()));
}

Status run_from(Context& context, Plan::Iterator at, int& ret_operation);

struct Second {
  Context* context;
  Plan::Iterator at;
};

// On a stack of its own, in the memory of the first, which has nothing left to do but to end.
int second_main(void* argument) {
  Second& second = *static_cast<Second*>(argument);
  Context& context = *second.context;
  context.second_is_due = false;
  const int sync = context.sync.get();
  const std::int32_t pid = context.header->second;
  if (!send_message(sync, Message::process) || !send_all(sync, &pid, sizeof pid)) return 1;
  int operation = -1;
  Status status = begin_session();
  if (!status.failed() && context.terminal_is_due) status = take_terminal(0);
  if (!status.failed()) status = run_from(context, second.at, operation);
  send_failure(context.sync.get(), operation, status);
  return 1;
}

// Makes the process that becomes the program, a sibling of this one, so that the runtime is the parent of both. Returns on a failure only.
Status clone_second(Context& context, Plan::Iterator at) {
  // It is seen in the container, where somebody may have CAP_SYS_PTRACE: nothing of the host stays open.
  context.proc.reset();
  context.root.reset();
  constexpr std::size_t stack_size = std::size_t{64} * 1024;
  void* stack = sys::mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return {ENOMEM, "mmap", "stack"};
  // At the far end of that stack, where no frame of this process ever is.
  auto* second = new (stack) Second{&context, at};
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_PARENT | CLONE_PARENT_SETTID;
  // In memory that the runtime has too, written before the process runs: it has to be reaped even if it is killed before it can say who it is.
  arguments.parent_tid = reinterpret_cast<std::uint64_t>(&context.header->second);
  arguments.stack = reinterpret_cast<std::uint64_t>(stack);
  arguments.stack_size = stack_size;
  const long pid = sys::clone3_on_stack(&arguments, sizeof arguments, second_main, second);
  if (pid < 0) return {static_cast<int>(-pid), "clone3"};
  sys::exit_group(0);
}

Status run_from(Context& context, Plan::Iterator at, int& ret_operation) {
  while (!at.done()) {
    const Plan::Iterator here = at;
    const std::uint32_t index = at.index();
    const Op op = at.next();
    ret_operation = static_cast<int>(index);
    if (context.second_is_due && belongs_to_second(op)) return clone_second(context, here);
    STRATA_TRY(carry_out(context, op, index));
  }
  return {};
}

}  // namespace

Status run_plan(Context& context, int& ret_operation) { return run_from(context, Plan::Iterator(context.plan), ret_operation); }

}  // namespace strata
