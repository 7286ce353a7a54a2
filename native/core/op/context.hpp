// What strata-init knows while it carries a plan out: one object on its stack, handed to every operation.
#pragma once

#include <cstdint>

#include "../fd.hpp"
#include "../message.hpp"
#include "../plan.hpp"
#include "argv.hpp"

namespace strata {

struct Context {
  InitHeader* header = nullptr;
  Plan plan;
  // The container's root, O_PATH. Invalid before the operation root-*; after pivot the process's own root.
  Fd root;
  // The host's procfs (open_proc), opened before any mount of the container exists.
  Fd proc;
  // Talks to the runtime; after `start` to whoever started us.
  Fd sync;
  Fd start;
  Fd console;
  // pidfd of the first process of the container that is entered; invalid for create.
  Fd target;
  // Where a container without a mount namespace of its own belongs; invalid for all others.
  Fd final_mount_namespace;
  // Detached mounts that were opened with the host's rights before a user namespace was entered, by operation index; null if none.
  int* prepared = nullptr;
  // The root was mounted before the user namespace was entered, and is the working directory.
  bool root_prepared = false;
  // The umask of the runtime's caller; set-up itself runs with 0 so that modes are what the plan says.
  unsigned callers_umask = 022;
  // These were set before the user namespace took the right to them.
  bool oom_score_adjusted = false;
  bool io_priority_set = false;
  // SELinux label of file systems that are made, "" for none.
  Text mount_label;
  // The host's propagation is kept (rootfsPropagation shared), so parents must be made private before something is attached to them.
  bool shared_propagation = false;
  // An empty read-only directory that masks share.
  Fd empty_directory;
  // The container was there before us, and what belongs to all of it is not to be changed.
  bool entered = false;
  // The process that becomes the program is still to be made, as a child in the container's pid namespace; and it is to make standard input its
  // controlling terminal, which only the leader of a session can.
  bool second_is_due = false;
  bool terminal_is_due = false;
  bool no_new_privileges = false;
  bool closed_at_execution = false;
  // The first of the two attempts to enter the working directory has succeeded.
  bool in_cwd = false;
  bool executing_announced = false;
  // The program that `executable` found.
  char executable[4096] = {};
  // Shared with the runtime: what becomes of the seccomp listener (message.hpp).
  std::uint32_t* listener_word = nullptr;
  // argv and the environment, made before a filter could be in the way.
  PointerArray arguments;
  PointerArray environment;
  // "HOME=..." of the container's user, "" when the configuration sets HOME itself.
  char home[512] = {};
};

// --- op/namespace.cpp
// Everything between the first instruction and the plan's first operation in the container: cgroups, namespaces, user ids. In a two-stage
// start the caller of this function exits inside it, and only its child returns. `ret_operation` is changed for what belongs to another operation
// than `clone`.
Status enter_namespaces(Context& context, int& ret_operation);
Status begin_session();

// --- op/root.cpp
Status op_host_bind(Fields fields);
Status op_propagation(Context& context, Fields fields);
// MS_* of every mount that this process sees, from its root on.
Status set_root_propagation(unsigned propagation);
Status op_root_bind(Context& context, Fields fields);
Status op_root_overlay(Context& context, Fields fields);
Status op_root_readonly(Context& context);
Status op_pivot(Context& context, Fields fields);

// --- op/mount.cpp
Status op_mount(Context& context, Fields fields);
Status op_bind(Context& context, Fields fields, std::uint32_t index);
Status op_remount(Context& context, Fields fields);
Status op_mount_label(Context& context, Fields fields);
Status op_mask(Context& context, Fields fields);
Status op_readonly(Context& context, Fields fields);
// Opens the source of a bind operation as a detached mount with the rights of the caller.
Result<Fd> open_bind_source(Fields fields);

// --- op/file.cpp
Status op_directory(Context& context, Fields fields);
Status op_symlink(Context& context, Fields fields);
Status op_device(Context& context, Fields fields, std::uint32_t index);
// Makes the node of a device operation, owned as it is to be, with the rights of the caller; `ret_tree` becomes a detached mount of it. Leaves it
// as it is where the host's own node is to be shown.
Status prepare_device(Context& context, Fields fields, int& ret_tree);
Status op_console(Context& context, Fields fields);
Status op_stdio(Fields fields);
// Makes it the controlling terminal of the session that this process leads.
Status take_terminal(int terminal);

// --- op/copy_up.cpp
// Copies what lies in directory `from` into directory `to`: types, contents, owners, modes, times, extended attributes.
Status copy_tree(int from, int to);

// --- op/hook.cpp
Status op_runtime_hooks(Context& context);
Status op_hook(const Context& context, Fields fields);

// --- op/handover.cpp
// What the runtime finishes for the process.
Status op_net_device(Context& context, Fields fields, std::uint32_t index);
// Before a filter with a listener is loaded: tells the runtime of it.
Status offer_listener(Context& context, std::uint32_t index);
// After that: `result` is what the load gave, the listener or a failure. Makes no system call before the runtime has taken it.
void give_listener(Context& context, int result);

// --- op/process.cpp
Status op_sysctl(Context& context, Fields fields);
Status op_hostname(Fields fields);
Status op_domainname(Fields fields);
Status op_loopback_up();
Status op_keyring(const Context& context, Fields fields);
Status op_oom_score_adj(Context& context, Fields fields);
Status op_rlimit(Fields fields);
// Makes room for op_rlimit in a process that may not raise hard limits itself.
Status raise_hard_limit(Fields fields);
Status op_cwd(Context& context, Fields fields);
Status op_executable(Context& context, Fields fields);
Status op_home(Context& context, Fields fields);
Status op_no_new_privileges(Context& context);
Status op_seccomp_load(Context& context, std::uint32_t index);
Status op_bounding(Fields fields);
Status op_user(const Context& context, Fields fields);
Status op_capabilities(Fields fields);
Status op_personality(Fields fields);
Status op_cpu_affinity(Fields fields);
Status op_scheduler(Fields fields);
// Whether children get what op_scheduler sets.
bool scheduler_is_inherited(Fields fields);
Status op_io_priority(Context& context, Fields fields);
Status op_memory_policy(Fields fields);
Status op_apparmor_profile(const Context& context, Fields fields);
Status op_selinux_label(const Context& context, Fields fields);
Status op_ready(Context& context);
Status op_exec(Context& context);

}  // namespace strata
