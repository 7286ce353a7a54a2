#include "user_namespace.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>

#include <linux/mount.h>
#include <linux/sched.h>

#include "../message.hpp"
#include "../path.hpp"
#include "../text.hpp"
#include "mount_util.hpp"

namespace strata {
namespace {

// "PID/NAME" as a path below /proc.
TextBuilder<64> process_path(long pid, const char* name) {
  TextBuilder<64> path;
  path.add_number(static_cast<std::uint64_t>(pid)).add("/").add(name);
  return path;
}

}  // namespace

Status write_id_maps(int proc, long pid, Text uid_map, Text gid_map) {
  if (!uid_map.empty()) STRATA_TRY(write_proc(proc, process_path(pid, "uid_map").c_str(), uid_map.view()));
  if (!gid_map.empty()) STRATA_TRY(write_proc(proc, process_path(pid, "gid_map").c_str(), gid_map.view()));
  return {};
}

Result<Fd> open_namespace(int proc, long pid, const char* name) {
  TextBuilder<32> link;
  link.add("ns/").add(name);
  const TextBuilder<64> path = process_path(pid, link.c_str());
  // A magic link by nature; `proc` is verified and the pid is our own child's.
  const int opened = sys::openat(proc, path.c_str(), O_RDONLY | O_CLOEXEC);
  if (opened < 0) return Status(-opened, "open", path.view());
  return Fd(opened);
}

Status map_mount_with(int mount, int user_namespace, bool recursive, std::string_view path) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(user_namespace);
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  const int result = sys::mount_setattr(mount, "", flags, &attributes, sizeof attributes);
  if (result == -EINVAL) return Status::with_detail("mount_setattr", path, "can its file system be id-mapped?", EINVAL);
  if (result == -EPERM)
    return Status::with_detail("mount_setattr", path, "it is id-mapped already, or its file system is not this user's to map", EPERM);
  if (result < 0) return {-result, "mount_setattr", path};
  return {};
}

Status map_mount(int mount, Text uid_map, Text gid_map, bool recursive, std::string_view path) {
  Result<Fd> proc = open_proc();
  if (proc.failed()) return proc.status();
  if (uid_map.empty()) {
    const Fd own(sys::openat(proc.value().get(), "self/ns/user", O_RDONLY | O_CLOEXEC));
    if (!own.valid()) return {-own.get(), "open", "/proc/self/ns/user"};
    return map_mount_with(mount, own.get(), recursive, path);
  }
  // A mapping exists only as a user namespace, and a user namespace only with a process: one that does nothing, for as long as it takes. It
  // tells by which number `proc` knows it, since this may be a pid namespace of its own.
  int ends[2];
  if (const int result = sys::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends); result < 0) return {-result, "socketpair"};
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_NEWUSER | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const long cloned = sys::clone3(&arguments, sizeof arguments);
  if (cloned < 0) return {static_cast<int>(-cloned), "clone3", path};
  if (cloned == 0) {
    ours.reset();
    char number[24] = {};
    (void)sys::readlinkat(proc.value().get(), "self", number, sizeof number - 1);
    send_all(theirs.get(), number, sizeof number);
    char byte;
    receive_all(theirs.get(), &byte, 1);
    sys::exit_group(0);
  }
  theirs.reset();
  char number[24] = {};
  long pid = 0;
  if (receive_all(ours.get(), number, sizeof number)) {
    for (const char* c = number; *c >= '0' && *c <= '9'; c++) pid = pid * 10 + (*c - '0');
  }
  const Fd process(pidfd);
  Status status = write_id_maps(proc.value().get(), pid, uid_map, gid_map);
  if (!status.failed()) {
    Result<Fd> user = open_namespace(proc.value().get(), pid, "user");
    status = user.failed() ? user.status() : map_mount_with(mount, user.value().get(), recursive, path);
  }
  ours.reset();
  constexpr int wait_by_pidfd = 3;
  while (sys::waitid(wait_by_pidfd, process.get(), nullptr, WEXITED) == -EINTR) {
  }
  return status;
}

}  // namespace strata
