// From the runtime's namespaces into the container's.
//
// One stage: the runtime's clone3 has made the new namespaces already; this process joins the others by path, and the cgroup namespace is
// made here, once the process is in the container's cgroups.
//
// Two stages, when a user, pid or time namespace is new or joined in a way that only a child can enter: this process, still with the host's
// rights, does what needs them (the root, sources of bind mounts, id maps), and clones the container's process as its sibling (CLONE_PARENT), so
// that the runtime is the parent of both. It is never in the container's cgroups, whose limit may be one process.
//
// An ordinary user's first stage has rights only in a user namespace of his own: it enters that first, and then does the same.
//
// A container that is there is entered by one setns(2) with the pidfd of its first process. Into its pid namespace only a child gets, and that comes
// as late as can be (run.cpp): what has the host's rights never appears among the container's processes.
//
// A container without a mount namespace of its own (none is listed, or one is joined) is set up in a private one all the same, so that nothing of
// it appears where others look; `pivot` then takes a copy of the finished tree along into the namespace where the process belongs.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>

#include <linux/sched.h>
#include <linux/stat.h>

#include "../path.hpp"
#include "../text.hpp"
#include "context.hpp"
#include "mount_util.hpp"
#include "user_namespace.hpp"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace strata {
namespace {

struct CloneFields {
  std::uint32_t create;
  TextList join;
  Text uid_map;
  Text gid_map;
  Text time_offsets;
  Text cgroup;
  TextList tasks;
  bool unprivileged;
  bool helpers;  // the runtime writes the id maps through them
};

CloneFields read_clone(const Plan& plan) {
  bool helpers = false;
  for (Plan::Iterator at(plan); !at.done();) {
    const Op op = at.next();
    helpers = helpers || op.code == OpCode::id_map_helper;
    if (op.code != OpCode::clone) continue;
    Fields fields = op.fields();
    const std::uint32_t create = fields.u32();
    const TextList join = fields.texts();
    const Text uid_map = fields.text();
    const Text gid_map = fields.text();
    const Text time_offsets = fields.text();
    const Text cgroup = fields.text();
    const TextList tasks = fields.texts();
    return {create, join, uid_map, gid_map, time_offsets, cgroup, tasks, fields.boolean(), helpers};
  }
  return {0, {0, Cursor(nullptr, 0)}, {}, {}, {}, {}, {0, Cursor(nullptr, 0)}, false, false};
}

struct NamespaceName {
  std::string_view name;
  std::uint64_t flag;
};

constexpr NamespaceName namespace_names[] = {{"time", CLONE_NEWTIME}, {"mount", CLONE_NEWNS},   {"cgroup", CLONE_NEWCGROUP},
                                             {"uts", CLONE_NEWUTS},   {"ipc", CLONE_NEWIPC},    {"user", CLONE_NEWUSER},
                                             {"pid", CLONE_NEWPID},   {"network", CLONE_NEWNET}};

std::uint64_t flag_of(std::string_view name) {
  for (const NamespaceName& entry : namespace_names) {
    if (entry.name == name) return entry.flag;
  }
  return 0;
}

// The container's cgroups, open with the rights that the process in a user namespace will not have.
class Cgroups {
 public:
  Status open(TextList tasks, Text unified) {
    for (; count_ < tasks.count; count_++) {
      if (count_ == most) return {E2BIG, "open", "tasks"};
      paths_[count_] = tasks.next();
      files_[count_] = Fd(sys::openat(AT_FDCWD, paths_[count_].c_str(), O_WRONLY | O_CLOEXEC));
      if (!files_[count_].valid()) return {-files_[count_].get(), "open", paths_[count_].view()};
    }
    if (unified.empty()) return {};
    unified_ = Fd(sys::openat(AT_FDCWD, unified.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return unified_.valid() ? Status() : Status(-unified_.get(), "open", unified.view());
  }

  // v1: "0" written to `tasks` moves the writer alone, without the grace period that a write to cgroup.procs waits for.
  Status join() {
    for (std::uint32_t i = 0; i < count_; i++) {
      if (const long result = sys::write(files_[i].get(), "0", 1); result < 0) return {static_cast<int>(-result), "write", paths_[i].view()};
      files_[i].reset();
    }
    unified_.reset();
    return {};
  }

  // For CLONE_INTO_CGROUP; invalid without v2.
  [[nodiscard]] const Fd& unified() const { return unified_; }

 private:
  static constexpr std::uint32_t most = 32;  // more than the kernel has controllers
  Fd files_[most];
  Text paths_[most];
  std::uint32_t count_ = 0;
  Fd unified_;
};

// Its root is where this process is now (cgroup_namespaces(7)), so it comes after the cgroups.
Status make_cgroup_namespace(std::uint64_t create) {
  if ((create & CLONE_NEWCGROUP) == 0) return {};
  const int result = sys::unshare(CLONE_NEWCGROUP);
  return result < 0 ? Status(-result, "unshare", "cgroup") : Status();
}

// For the container without a mount namespace of its own: `joined` is the one it belongs to, invalid for the runtime's.
Status borrow_mount_namespace(Context& context, Fd joined) {
  if (!joined.valid()) {
    joined = Fd(sys::openat(context.proc.get(), "self/ns/mnt", O_RDONLY | O_CLOEXEC));
    if (!joined.valid()) return {-joined.get(), "open", "/proc/self/ns/mnt"};
  }
  if (const int result = sys::unshare(CLONE_NEWNS); result < 0) return {-result, "unshare", "mount"};
  constexpr unsigned recursive_slave = 0x4000 | 0x80000;  // MS_REC | MS_SLAVE
  STRATA_TRY(set_root_propagation(recursive_slave));
  context.final_mount_namespace = std::move(joined);
  return {};
}

struct Joined {
  Fd user;
  Fd mount;
};

Status setns_to(const Fd& file, std::uint64_t flag, std::string_view name) {
  if (!file.valid()) return {};
  const int result = sys::setns(file.get(), static_cast<int>(flag));
  if (result == -EINVAL) return Status::with_detail("setns", name, "is not a namespace of this type", EINVAL);
  if (result < 0) return {-result, "setns", name};
  return {};
}

// Opens every namespace that is to be joined while the host's paths can still be seen, and joins all but the user and mount namespaces: after
// those two the rights or the paths for the others would be gone. An ordinary user has rights over the others only in that user namespace.
Status join_namespaces(TextList join, bool user_first, Joined& ret_joined) {
  constexpr std::uint32_t most = 8;
  Fd opened[most];
  std::uint64_t flags[most] = {};
  Text paths[most];
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i + 1 < join.count && count < most; i += 2) {
    const Text type = join.next();
    const Text path = join.next();
    const std::uint64_t flag = flag_of(type.view());
    Fd file(sys::openat(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return {-file.get(), "open", path.view()};
    if (flag == CLONE_NEWUSER) {
      ret_joined.user = std::move(file);
    } else if (flag == CLONE_NEWNS) {
      ret_joined.mount = std::move(file);
    } else {
      flags[count] = flag;
      paths[count] = path;
      opened[count++] = std::move(file);
    }
  }
  if (user_first) STRATA_TRY(setns_to(ret_joined.user, CLONE_NEWUSER, "user"));
  for (std::uint32_t i = 0; i < count; i++) STRATA_TRY(setns_to(opened[i], flags[i], paths[i].view()));
  return {};
}

// What needs the host's rights on the way to the root: done in a mount namespace that belongs to the host's user namespace, which the
// container's own then copies.
Status prepare_mounts(Context& context, int& ret_operation) {
  const int before = ret_operation;
  const std::size_t size = context.plan.count() * sizeof(int);
  void* memory = sys::mmap(nullptr, size == 0 ? 1 : size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return {ENOMEM, "mmap"};
  context.prepared = static_cast<int*>(memory);
  for (Plan::Iterator at(context.plan); !at.done();) {
    const std::uint32_t index = at.index();
    const Op op = at.next();
    ret_operation = static_cast<int>(index);
    context.prepared[index] = -1;
    switch (op.code) {
      case OpCode::propagation: STRATA_TRY(op_propagation(context, op.fields())); break;
      case OpCode::mount_label: STRATA_TRY(op_mount_label(context, op.fields())); break;
      case OpCode::root_bind: STRATA_TRY(op_root_bind(context, op.fields())); break;
      case OpCode::root_overlay: STRATA_TRY(op_root_overlay(context, op.fields())); break;
      case OpCode::bind: {
        Result<Fd> source = open_bind_source(op.fields());
        if (source.failed()) return source.status();
        context.prepared[index] = source.value().release();
        break;
      }
      case OpCode::device: STRATA_TRY(prepare_device(context, op.fields(), context.prepared[index])); break;
      default: break;
    }
  }
  ret_operation = before;
  if (const int result = sys::fchdir(context.root.get()); result < 0) return {-result, "fchdir", "/"};
  context.root.reset();
  context.root_prepared = true;
  return {};
}

// Id-mapped bind mounts need the host's rights over the source's file system, and possibly the container's user namespace.
Status map_prepared_mounts(Context& context, int user_namespace, int& ret_operation) {
  const int before = ret_operation;
  for (Plan::Iterator at(context.plan); !at.done();) {
    const std::uint32_t index = at.index();
    const Op op = at.next();
    if (op.code != OpCode::bind || context.prepared[index] < 0) continue;
    Fields fields = op.fields();
    (void)fields.text();
    const Text source = fields.text();
    (void)fields.boolean();
    for (int i = 0; i < 4; i++) (void)fields.u64();
    (void)fields.u32();
    (void)fields.boolean();
    (void)fields.boolean();
    const std::uint32_t idmap = fields.u32();
    const Text uid_map = fields.text();
    const Text gid_map = fields.text();
    if (idmap == 0) continue;
    ret_operation = static_cast<int>(index);
    STRATA_TRY(uid_map.empty() ? map_mount_with(context.prepared[index], user_namespace, idmap == 2, source.view())
                               : map_mount(context.prepared[index], uid_map, gid_map, idmap == 2, source.view()));
  }
  ret_operation = before;
  return {};
}

bool joins(TextList join, std::string_view type) {
  for (std::uint32_t i = 0; i + 1 < join.count; i += 2) {
    const bool found = join.next().view() == type;
    (void)join.next();
    if (found) return true;
  }
  return false;
}

// Of a process that is not dumpable the files in /proc belong to root, so an ordinary user's is, for the moment. Nobody but this user's own processes
// could make use of it: whatever is in a container of his lacks CAP_SYS_PTRACE in the user namespace where we are (ptrace(2)).
Status set_dumpable(bool dumpable) {
  const int result = sys::prctl(PR_SET_DUMPABLE, dumpable ? 1 : 0);
  return result < 0 ? Status(-result, "prctl") : Status();
}

Status adjust_oom_score(Context& context, Fields fields) {
  const Status status = op_oom_score_adj(context, fields);
  if (status.error() != EACCES) return status;
  STRATA_TRY(set_dumpable(true));
  const Status again = op_oom_score_adj(context, fields);
  STRATA_TRY(set_dumpable(false));
  return again;
}

// What children inherit and a user namespace has no right to set: the OOM score, priorities, and hard limits above our own. One that is joined
// may even deny setgroups(2), and the caller's groups are not for the container.
Status apply_host_rights(Context& context, int& ret_operation) {
  (void)sys::setgroups(0, nullptr);
  const int before = ret_operation;
  for (Plan::Iterator at(context.plan); !at.done();) {
    ret_operation = static_cast<int>(at.index());
    const Op op = at.next();
    if (op.code == OpCode::oom_score_adj) STRATA_TRY(adjust_oom_score(context, op.fields()));
    // Should it not suffice, op_rlimit will say so.
    if (op.code == OpCode::rlimit) (void)raise_hard_limit(op.fields());
    if (op.code == OpCode::scheduler && scheduler_is_inherited(op.fields())) STRATA_TRY(op_scheduler(op.fields()));
    if (op.code == OpCode::io_priority) STRATA_TRY(op_io_priority(context, op.fields()));
  }
  ret_operation = before;
  context.oom_score_adjusted = true;
  context.io_priority_set = true;
  return {};
}

Status write_own_proc(Context& context, const char* path, Text value) {
  STRATA_TRY(set_dumpable(true));
  const Status status = write_proc(context.proc.get(), path, value.view());
  STRATA_TRY(set_dumpable(false));
  return status;
}

// For the ordinary user: this process gets a user namespace in which it has every right. One id each of his own he may map himself, if the groups
// are given up for good (user_namespaces(7)); for more the runtime runs helpers that may.
Status enter_own_user_namespace(Context& context, const CloneFields& fields) {
  if (const int result = sys::unshare(CLONE_NEWUSER); result < 0) {
    return Status::with_detail("unshare", "user", "may ordinary users make user namespaces here?", -result);
  }
  STRATA_TRY(set_dumpable(true));
  if (!fields.uid_map.empty()) STRATA_TRY(write_proc(context.proc.get(), "self/uid_map", fields.uid_map.view()));
  if (!fields.gid_map.empty()) {
    STRATA_TRY(write_proc(context.proc.get(), "self/setgroups", "deny"));
    STRATA_TRY(write_proc(context.proc.get(), "self/gid_map", fields.gid_map.view()));
  }
  STRATA_TRY(set_dumpable(false));
  if (!fields.helpers) return {};
  Message message{};
  if (!send_message(context.sync.get(), Message::maps) || !receive_message(context.sync.get(), message) || message != Message::go) sys::exit_group(1);
  return {};
}

// Root of the new user namespace, where it maps one; only then do new files belong to somebody.
void become_namespace_root() {
  (void)sys::setgroups(0, nullptr);
  (void)sys::setresgid(0, 0, 0);
  (void)sys::setresuid(0, 0, 0);
  (void)sys::prctl(PR_SET_DUMPABLE, 0);
}

// The ordinary user's way to the rights of root, in his own user namespace.
Status gain_rights(Context& context, const CloneFields& fields, Joined& ret_joined, int& ret_operation) {
  STRATA_TRY(apply_host_rights(context, ret_operation));
  STRATA_TRY(join_namespaces(fields.join, true, ret_joined));
  return (fields.create & CLONE_NEWUSER) != 0 ? enter_own_user_namespace(context, fields) : Status();
}

// The first stage: returns in the container's process only.
Status clone_container(Context& context, const CloneFields& fields, int& ret_operation) {
  const bool changes_user = (fields.create & CLONE_NEWUSER) != 0 || joins(fields.join, "user");
  Joined joined;
  Cgroups cgroups;
  STRATA_TRY(cgroups.open(fields.tasks, fields.cgroup));
  std::uint64_t create = fields.create & ~std::uint64_t{CLONE_NEWCGROUP};
  if (fields.unprivileged) {
    STRATA_TRY(gain_rights(context, fields, joined, ret_operation));
    create &= ~std::uint64_t{CLONE_NEWUSER};
  }
  const bool new_user = (create & CLONE_NEWUSER) != 0;
  // The root of the message queues belongs to whoever makes the ipc namespace. Where that is somebody whom the user namespace does not know,
  // nobody may label it there.
  const bool late_ipc = changes_user && (create & CLONE_NEWIPC) != 0;
  if (late_ipc) create &= ~std::uint64_t{CLONE_NEWIPC};

  // Sources are opened, and the root mounted, by the caller: the mapped root may not be able to reach them.
  if ((create & CLONE_NEWNS) != 0 && changes_user) {
    if (const int result = sys::unshare(CLONE_NEWNS); result < 0) return {-result, "unshare", "mount"};
    STRATA_TRY(prepare_mounts(context, ret_operation));
  }
  if (!fields.unprivileged) {
    if (changes_user) STRATA_TRY(apply_host_rights(context, ret_operation));
    STRATA_TRY(join_namespaces(fields.join, false, joined));
    // While the rights over the sources' file systems are still ours.
    if (joined.user.valid() && context.prepared != nullptr) STRATA_TRY(map_prepared_mounts(context, joined.user.get(), ret_operation));
    STRATA_TRY(setns_to(joined.user, CLONE_NEWUSER, "user"));
  }
  if (!fields.time_offsets.empty()) {
    // The offsets can be set only while nobody is in the namespace; the children of this process will be (time_namespaces(7)).
    if (const int result = sys::unshare(CLONE_NEWTIME); result < 0) return {-result, "unshare", "time"};
    STRATA_TRY(write_own_proc(context, "self/timens_offsets", fields.time_offsets));
    create &= ~std::uint64_t{CLONE_NEWTIME};
  }

  int gate[2];
  if (const int result = sys::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate); result < 0) return {-result, "socketpair"};
  Fd ours(gate[0]);
  Fd theirs(gate[1]);
  clone_args arguments{};
  arguments.flags = create | CLONE_PARENT;
  if (cgroups.unified().valid()) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroups.unified().get());
  }
  const long pid = sys::clone3(&arguments, sizeof arguments);
  if (pid < 0) return {static_cast<int>(-pid), "clone3"};
  if (pid == 0) {
    ours.reset();
    Message message{};
    // Until the maps are written this process is nobody.
    if (!receive_message(theirs.get(), message) || message != Message::go) sys::exit_group(1);
    STRATA_TRY(cgroups.join());
    STRATA_TRY(make_cgroup_namespace(fields.create));
    if (changes_user) become_namespace_root();
    if (late_ipc) {
      if (const int result = sys::unshare(CLONE_NEWIPC); result < 0) return {-result, "unshare", "ipc"};
    }
    return (fields.create & CLONE_NEWNS) != 0 ? Status() : borrow_mount_namespace(context, std::move(joined.mount));
  }

  theirs.reset();
  // First of all, so that whatever fails below, the runtime knows whom to reap.
  const auto number = static_cast<std::int32_t>(pid);
  if (!send_message(context.sync.get(), Message::process) || !send_all(context.sync.get(), &number, sizeof number)) sys::exit_group(1);
  if (new_user) {
    STRATA_TRY(write_id_maps(context.proc.get(), pid, fields.uid_map, fields.gid_map));
    if (context.prepared != nullptr) {
      Result<Fd> user = open_namespace(context.proc.get(), pid, "user");
      if (user.failed()) return user.status();
      STRATA_TRY(map_prepared_mounts(context, user.value().get(), ret_operation));
    }
  }
  sys::exit_group(send_message(ours.get(), Message::go) ? 0 : 1);
}

struct EnterFields {
  long pid = 0;
  std::uint64_t namespaces = 0;
  bool chroot = false;
  TextList tasks{0, Cursor(nullptr, 0)};
};

// Is there nothing to do but to wait? Then no mount namespace is needed, which an ordinary user could not have.
bool only_waits(const Plan& plan) {
  bool cloned = false;
  for (Plan::Iterator at(plan); !at.done();) {
    const OpCode code = at.next().code;
    if (cloned && code != OpCode::ready) return false;
    cloned = cloned || code == OpCode::clone;
  }
  return true;
}

bool find_enter(const Plan& plan, EnterFields& ret_fields) {
  for (Plan::Iterator at(plan); !at.done();) {
    const Op op = at.next();
    if (op.code != OpCode::enter) continue;
    Fields fields = op.fields();
    const std::uint32_t pid = fields.u32();
    (void)fields.u64();
    const std::uint32_t namespaces = fields.u32();
    const bool chroot = fields.boolean();
    (void)fields.text();
    ret_fields = {static_cast<long>(pid), namespaces, chroot, fields.texts()};
    return true;
  }
  return false;
}

// setns(2) refuses the user namespace that the caller is in already.
Status drop_own_user_namespace(const Context& context, EnterFields& fields) {
  if ((fields.namespaces & CLONE_NEWUSER) == 0) return {};
  struct statx own {};
  struct statx theirs {};
  Result<Fd> user = open_namespace(context.proc.get(), fields.pid, "user");
  if (user.failed()) return user.status();
  if (const int result = sys::statx(user.value().get(), "", AT_EMPTY_PATH, STATX_INO, &theirs); result < 0) return {-result, "statx"};
  if (const int result = sys::statx(context.proc.get(), "self/ns/user", 0, STATX_INO, &own); result < 0) return {-result, "statx"};
  if (own.stx_ino == theirs.stx_ino) fields.namespaces &= ~std::uint64_t{CLONE_NEWUSER};
  return {};
}

// Returns in the process that becomes the program only.
Status enter_container(Context& context, EnterFields fields, int& ret_operation) {
  Cgroups cgroups;
  STRATA_TRY(cgroups.open(fields.tasks, {}));
  STRATA_TRY(cgroups.join());
  STRATA_TRY(drop_own_user_namespace(context, fields));
  const bool user = (fields.namespaces & CLONE_NEWUSER) != 0;
  if (user) STRATA_TRY(apply_host_rights(context, ret_operation));
  Fd root;
  if (fields.chroot) {
    TextBuilder<32> path;
    path.add_number(static_cast<std::uint64_t>(fields.pid)).add("/root");
    root = Fd(sys::openat(context.proc.get(), path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return {-root.get(), "open", path.view()};
  }
  // Should the first process have ended, and its number be another's by now, this fails; and it tells that the cgroups joined above were still the
  // container's, for they go after it.
  const int joined = fields.namespaces == 0 ? sys::pidfd_send_signal(context.target.get(), 0, nullptr, 0)
                                            : sys::setns(context.target.get(), static_cast<int>(fields.namespaces));
  if (joined < 0) return {-joined, "setns"};
  context.target.reset();
  if (root.valid()) {
    if (const int result = sys::fchdir(root.get()); result < 0) return {-result, "fchdir"};
    if (const int result = sys::chroot("."); result < 0) return {-result, "chroot"};
    root.reset();
  }
  if (user) become_namespace_root();
  context.second_is_due = context.header->two_stage != 0;
  return {};
}

}  // namespace

Status enter_namespaces(Context& context, int& ret_operation) {
  EnterFields enter;
  if (find_enter(context.plan, enter)) {
    STRATA_TRY(enter_container(context, enter, ret_operation));
    return context.second_is_due ? Status() : begin_session();
  }
  const CloneFields fields = read_clone(context.plan);
  if (context.header->two_stage != 0) {
    STRATA_TRY(clone_container(context, fields, ret_operation));
  } else {
    Cgroups cgroups;
    STRATA_TRY(cgroups.open(fields.tasks, {}));
    STRATA_TRY(cgroups.join());
    Joined joined;
    STRATA_TRY(join_namespaces(fields.join, false, joined));
    if ((fields.create & CLONE_NEWNS) == 0 && !only_waits(context.plan)) STRATA_TRY(borrow_mount_namespace(context, std::move(joined.mount)));
    STRATA_TRY(make_cgroup_namespace(fields.create));
  }
  return begin_session();
}

Status begin_session() {
  const int result = sys::setsid();
  return result < 0 && result != -EPERM ? Status(-result, "setsid") : Status();
}

}  // namespace strata
