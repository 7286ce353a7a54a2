// Directories, links, device nodes and the terminal inside the container's root.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <cerrno>

#include <linux/stat.h>

#include "../path.hpp"
#include "context.hpp"
#include "mount_util.hpp"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

namespace strata {
namespace {

constexpr long devpts_super_magic = 0x1cd1;
constexpr long pipefs_magic = 0x50495045;

unsigned node_type(Text type) {
  switch (*type.c_str()) {
    case 'b': return S_IFBLK;
    case 'p': return S_IFIFO;
    default: return S_IFCHR;
  }
}

// EEXIST is no error when what is there is the device that was asked for.
Status check_device(int node, Text path, unsigned type, unsigned major, unsigned minor) {
  struct statx status {};
  if (const int result = sys::statx(node, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status); result < 0)
    return {-result, "statx", path.view()};
  const bool same = (status.stx_mode & S_IFMT) == type && (type == S_IFIFO || (status.stx_rdev_major == major && status.stx_rdev_minor == minor));
  return same ? Status() : Status::with_detail("mknodat", path.view(), "exists and is not this device", EEXIST);
}

// The host's own node of a path, as a detached mount.
Result<Fd> open_device(Text path, unsigned type, unsigned major, unsigned minor) {
  const Fd source(sys::openat(AT_FDCWD, path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!source.valid()) return Status(-source.get(), "open", path.view());
  STRATA_TRY(check_device(source.get(), path, type, major, minor));
  return clone_mount(source.get(), "", false, path.view());
}

// A user namespace may not make device nodes: what was made before it was entered is shown, else the host's.
Status bind_device(Context& context, Text path, Result<Fd> tree) {
  if (tree.failed()) return tree.status();
  Result<Fd> target = make_in_root(context.root.get(), path.view(), Make::file, 0666);
  if (target.failed()) return target.status();
  return attach(tree.value().get(), target.value().get(), path.view());
}

// Also the container's /dev/console.
Status bind_console(Context& context, int slave) {
  Result<Fd> tree = clone_mount(slave, "", false, "/dev/console");
  if (tree.failed()) return tree.status();
  Result<Fd> target = make_in_root(context.root.get(), "/dev/console", Make::file, 0600, Links::refuse);
  if (target.failed()) return target.status();
  return attach(tree.value().get(), target.value().get(), "/dev/console");
}

}  // namespace

Status op_directory(Context& context, Fields fields) {
  const Text path = fields.text();
  Result<Fd> directory = make_in_root(context.root.get(), path.view(), Make::directory, fields.u32());
  return directory.failed() ? directory.status() : Status();
}

Status op_symlink(Context& context, Fields fields) {
  const Text path = fields.text();
  const Text target = fields.text();
  if (fields.boolean()) {
    Result<Fd> existing = open_in_root(context.root.get(), target.view(), O_PATH, Links::not_last);
    if (existing.failed()) return {};
  }
  FixedText<256> name;
  Result<Fd> parent = make_parent_in_root(context.root.get(), path.view(), name);
  if (parent.failed()) return parent.status();
  const int result = sys::symlinkat(target.c_str(), parent.value().get(), name.c_str());
  if (result < 0 && result != -EEXIST) return {-result, "symlinkat", path.view()};
  return {};
}

Status prepare_device(Context& context, Fields fields, int& ret_tree) {
  constexpr unsigned hosts_own = ~0U;
  const Text path = fields.text();
  const unsigned type = node_type(fields.text());
  const unsigned major = fields.u32();
  const unsigned minor = fields.u32();
  const unsigned mode = fields.u32();
  const unsigned uid = fields.u32();
  const unsigned gid = fields.u32();
  // Where mounts of the root reach the host, this one would too.
  if (!fields.boolean() || uid == hosts_own || context.shared_propagation) return {};
  Result<FileSystem> tmpfs = FileSystem::open("tmpfs");
  if (tmpfs.failed()) return tmpfs.status();
  if (!context.mount_label.empty()) STRATA_TRY(tmpfs.value().set("context", context.mount_label.c_str()));
  Result<Fd> place = tmpfs.value().mount(0);
  if (place.failed()) return place.status();
  const int directory = place.value().get();
  const char* name = "node";
  const int made = sys::mknodat(directory, name, type | (mode & 07777), makedev(major, minor));
  // Who is not root of the host has to be content with the host's node.
  if (made == -EPERM) return {};
  if (made < 0) return {-made, "mknodat", path.view()};
  if (const int owned = sys::fchownat(directory, name, uid, gid, AT_SYMLINK_NOFOLLOW); owned < 0) return {-owned, "fchownat", path.view()};
  // A copy can be had only of what is mounted somewhere.
  STRATA_TRY(attach(directory, context.root.get(), path.view()));
  Result<Fd> tree = clone_mount(directory, name, false, path.view());
  if (const int result = sys::fchdir(directory); result < 0) return {-result, "fchdir", path.view()};
  if (const int result = sys::umount2(".", MNT_DETACH); result < 0) return {-result, "umount2", path.view()};
  if (tree.failed()) return tree.status();
  ret_tree = tree.value().release();
  return {};
}

Status op_device(Context& context, Fields fields, std::uint32_t index) {
  const Text path = fields.text();
  const unsigned type = node_type(fields.text());
  const unsigned major = fields.u32();
  const unsigned minor = fields.u32();
  const unsigned mode = fields.u32();
  const unsigned uid = fields.u32();
  const unsigned gid = fields.u32();
  if (fields.boolean()) {
    const bool prepared = context.prepared != nullptr && context.prepared[index] >= 0;
    return bind_device(context, path, prepared ? Result<Fd>(Fd(context.prepared[index])) : open_device(path, type, major, minor));
  }

  FixedText<256> name;
  Result<Fd> parent = make_parent_in_root(context.root.get(), path.view(), name);
  if (parent.failed()) return parent.status();
  const int made = sys::mknodat(parent.value().get(), name.c_str(), type | (mode & 07777), makedev(major, minor));
  if (made == -EEXIST) {
    const Fd node(sys::openat(parent.value().get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!node.valid()) return {-node.get(), "openat", path.view()};
    return check_device(node.get(), path, type, major, minor);
  }
  if (made < 0) return {-made, "mknodat", path.view()};
  if (uid != 0 || gid != 0) {
    const int owned = sys::fchownat(parent.value().get(), name.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW);
    if (owned < 0) return {-owned, "fchownat", path.view()};
  }
  return {};
}

Status take_terminal(int terminal) {
  const int result = sys::ioctl(terminal, TIOCSCTTY, 0UL);
  return result < 0 ? Status(-result, "ioctl", "/dev/console") : Status();
}

Status op_console(Context& context, Fields fields) {
  const unsigned height = fields.u32();
  const unsigned width = fields.u32();
  const unsigned uid = fields.u32();
  const bool bind = fields.boolean();
  // In a container that was there before us, this process's root.
  if (!context.root.valid()) context.root = Fd(sys::openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));

  Result<Fd> opened = open_in_root(context.root.get(), "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
  if (opened.failed()) {
    return Status::with_detail("open", "/dev/pts/ptmx", "process.terminal needs a devpts mount at /dev/pts", opened.status().error());
  }
  const Fd master = std::move(opened.value());
  // The image could have put anything at this path; only a devpts instance gives a terminal of our own.
  struct statfs file_system {};
  if (sys::fstatfs(master.get(), &file_system) < 0 || file_system.f_type != devpts_super_magic) {
    return Status::with_detail("open", "/dev/pts/ptmx", "process.terminal needs a devpts mount at /dev/pts", ENODEV);
  }
  int unlock = 0;
  if (const int result = sys::ioctl(master.get(), TIOCSPTLCK, &unlock); result < 0) return {-result, "ioctl", "/dev/pts/ptmx"};
  // By descriptor: no path of the container decides which terminal this is.
  const Fd slave(sys::ioctl(master.get(), TIOCGPTPEER, static_cast<unsigned long>(O_RDWR | O_NOCTTY | O_CLOEXEC)));
  if (!slave.valid()) return {-slave.get(), "ioctl", "/dev/pts/ptmx"};
  if (height != 0 || width != 0) {
    winsize size{};
    size.ws_row = static_cast<unsigned short>(height);
    size.ws_col = static_cast<unsigned short>(width);
    if (const int result = sys::ioctl(master.get(), TIOCSWINSZ, &size); result < 0) return {-result, "ioctl", "/dev/pts/ptmx"};
  }
  constexpr unsigned unchanged = ~0U;
  // The group stays the one that devpts was told to give (tty).
  if (const int result = sys::fchownat(slave.get(), "", uid, unchanged, AT_EMPTY_PATH); result < 0) return {-result, "fchownat", "/dev/console"};

  if (bind) STRATA_TRY(bind_console(context, slave.get()));
  STRATA_TRY(send_descriptor(context.console.get(), master.get(), "/dev/ptmx"));
  context.console.reset();
  context.terminal_is_due = context.second_is_due;
  if (!context.second_is_due) STRATA_TRY(take_terminal(slave.get()));
  for (int standard = 0; standard < 3; standard++) {
    if (const int result = sys::dup3(slave.get(), standard, 0); result < 0) return {-result, "dup3", "/dev/console"};
  }
  return {};
}

// Only pipes without a name, which nobody else knows of: a file, a FIFO or a device of the host keeps its owner. Where a user namespace has no right
// to it, they stay as they are.
Status op_stdio(Fields fields) {
  const std::uint32_t uid = fields.u32();
  constexpr unsigned unchanged = ~0U;
  for (int standard = 0; standard < 3; standard++) {
    struct statfs file_system {};
    struct statx status {};
    if (sys::fstatfs(standard, &file_system) < 0 || file_system.f_type != pipefs_magic) continue;
    if (sys::statx(standard, "", AT_EMPTY_PATH, STATX_UID, &status) < 0 || status.stx_uid == uid) continue;
    const int result = sys::fchownat(standard, "", uid, unchanged, AT_EMPTY_PATH);
    if (result < 0 && result != -EPERM && result != -EINVAL) return {-result, "fchownat", "stdio"};
  }
  return {};
}

}  // namespace strata
