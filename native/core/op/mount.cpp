// Mounts inside the container's root. Each is made as a detached mount, gets its attributes, and is attached to a descriptor of the place
// that was looked up inside the root: what was checked is what is mounted on (design rule 2).
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <cerrno>

#include <linux/stat.h>

#include "../path.hpp"
#include "../text.hpp"
#include "context.hpp"
#include "mount_util.hpp"
#include "user_namespace.hpp"

namespace strata {
namespace {

constexpr long proc_super_magic = 0x9fa0;

struct Attributes {
  std::uint64_t set;
  std::uint64_t clear;
  std::uint64_t recursive_set;
  std::uint64_t recursive_clear;
  unsigned propagation;
};

Attributes read_attributes(Fields& fields) {
  const std::uint64_t set = fields.u64();
  const std::uint64_t clear = fields.u64();
  const std::uint64_t recursive_set = fields.u64();
  const std::uint64_t recursive_clear = fields.u64();
  return {set, clear, recursive_set, recursive_clear, fields.u32()};
}

Status apply(int mount, const Attributes& attributes, std::string_view path) {
  STRATA_TRY(set_attributes(mount, attributes.recursive_set, attributes.recursive_clear, 0, true, path));
  return set_attributes(mount, attributes.set, attributes.clear, 0, false, path);
}

bool is_root(std::string_view destination) { return destination.find_first_not_of('/') == std::string_view::npos; }

// A mount on the root itself becomes the root: everything later belongs on top of it.
Status attach_at(Context& context, Fd mount, int target, Text destination, unsigned propagation) {
  STRATA_TRY(attach(mount.get(), target, destination.view()));
  if (propagation != 0) STRATA_TRY(set_propagation(mount.get(), propagation, destination.view()));
  if (is_root(destination.view())) context.root = std::move(mount);
  return {};
}

Result<unsigned> directory_mode(int fd) {
  struct statx status {};
  if (const int result = sys::statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MODE, &status); result < 0) return Status(-result, "statx");
  return static_cast<unsigned>(status.stx_mode);
}

bool sets(TextList options, std::string_view key) {
  for (std::uint32_t i = 0; i < options.count; i++) {
    if (options.next().view().starts_with(key)) return true;
  }
  return false;
}

// "mode=…": a tmpfs over a directory that exists looks like that directory unless the options say otherwise, as users of docker --tmpfs expect.
Status mode_option(int target, TextBuilder<16>& ret_option) {
  Result<unsigned> mode = directory_mode(target);
  if (mode.failed()) return mode.status();
  char octal[5] = {};
  for (int i = 0; i < 4; i++) octal[i] = static_cast<char>('0' + (mode.value() >> (9 - 3 * i) & 7));
  ret_option.add("mode=").add(octal);
  return {};
}

// Flags of a superblock as mount(2) takes them. fsconfig(2) has names for all but two, and those it refuses by either name.
struct SuperblockFlag {
  std::string_view name;
  unsigned long bit;
  bool on;
};
constexpr unsigned long flag_silent = 0x8000;
constexpr unsigned long flag_iversion = 0x800000;
constexpr SuperblockFlag superblock_flags[] = {{"silent", flag_silent, true},
                                               {"loud", flag_silent, false},
                                               {"iversion", flag_iversion, true},
                                               {"noiversion", flag_iversion, false},
                                               {"sync", 0x10, true},
                                               {"async", 0x10, false},
                                               {"mand", 0x40, true},
                                               {"nomand", 0x40, false},
                                               {"dirsync", 0x80, true},
                                               {"lazytime", 0x2000000, true},
                                               {"nolazytime", 0x2000000, false}};

const SuperblockFlag* superblock_flag(std::string_view option) {
  for (const SuperblockFlag& flag : superblock_flags) {
    if (flag.name == option) return &flag;
  }
  return nullptr;
}

bool is_classic(unsigned long flags) { return (flags & (flag_silent | flag_iversion)) != 0; }

// Of several the last counts.
unsigned long flags_of(TextList options) {
  unsigned long flags = 0;
  for (std::uint32_t i = 0; i < options.count; i++) {
    const SuperblockFlag* flag = superblock_flag(options.next().view());
    if (flag != nullptr) flags = flag->on ? flags | flag->bit : flags & ~flag->bit;
  }
  return flags;
}

// The call was about the option, the reader wants to know which mount.
Status refused_option(Text destination, Text option, const Status& status) {
  TextBuilder<256> detail;
  detail.add("option ").add(option.view());
  if (*status.detail() != '\0') detail.add(": ").add(status.detail());
  return Status::with_detail(status.call(), destination.view(), detail.view(), status.error());
}

// File systems whose files the kernel labels by their names; it would refuse a label for all of them, or believe it.
bool is_labelled_by_kernel(std::string_view type) { return type == "proc" || type == "sysfs" || type == "cgroup2"; }

// Message queues have a label each, and older kernels take none for the mount, but one for its root.
Status label_root(int mount, Text label, Text destination) {
  const Fd root(sys::openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return {-root.get(), "openat", destination.view()};
  const int result = sys::fsetxattr(root.get(), "security.selinux", label.c_str(), label.size, 0);
  return result < 0 ? Status(-result, "fsetxattr", destination.view()) : Status();
}

// Nothing may be put over procfs but the few files that the plan allows: a fake /proc/self/attr would swallow security labels.
Status refuse_proc(int target, Text destination) {
  struct statfs file_system {};
  if (const int result = sys::fstatfs(target, &file_system); result < 0) return {-result, "fstatfs", destination.view()};
  if (file_system.f_type != proc_super_magic) return {};
  return Status::with_detail("move_mount", destination.view(), "a mount inside a proc file system is not allowed", EPERM);
}

Status open_target(Context& context, Text destination, Make kind, bool real_directory, bool over_proc, Fd& ret_target, bool* ret_existed = nullptr) {
  Result<Fd> target = make_in_root(context.root.get(), destination.view(), kind, kind == Make::directory ? 0755 : 0644,
                                   real_directory ? Links::refuse : Links::follow, ret_existed);
  if (target.failed()) {
    const Status& status = target.status();
    if (real_directory && (status.error() == ELOOP || status.error() == ENOTDIR)) {
      return Status::with_detail(status.call(), destination.view(), "must be a real directory in the container's root, not a symbolic link", ELOOP);
    }
    return status;
  }
  if (!over_proc) STRATA_TRY(refuse_proc(target.value().get(), destination));
  ret_target = std::move(target.value());
  return {};
}

// What is to be mounted new.
struct NewMount {
  Text destination;
  Text type;
  Text source;
  TextList options;
  // "mode=…", or "" to leave it to the file system.
  TextBuilder<16> mode;
  // The SELinux label of all its files, "" for none.
  Text label;
};

Result<Fd> mount_new(const NewMount& wanted, std::uint64_t attributes) {
  Result<FileSystem> opened = FileSystem::open(wanted.type.c_str());
  if (opened.failed()) return opened.status();
  FileSystem& file_system = opened.value();
  Status status;
  if (!wanted.source.empty()) status = file_system.set("source", wanted.source.c_str());
  if (!status.failed() && !wanted.mode.view().empty()) status = file_system.set("mode", wanted.mode.c_str() + sizeof "mode=" - 1);
  if (!status.failed() && !wanted.label.empty()) status = file_system.set("context", wanted.label.c_str());
  if (status.failed()) return status;
  TextList options = wanted.options;
  for (std::uint32_t i = 0; i < options.count; i++) {
    const Text option = options.next();
    const SuperblockFlag* flag = superblock_flag(option.view());
    if (flag != nullptr && is_classic(flag->bit)) continue;  // here only to undo another
    status = file_system.option(option);
    if (status.failed()) return refused_option(wanted.destination, option, status);
  }
  return file_system.mount(attributes);
}

// The data of mount(2).
Status classic_data(const NewMount& wanted, TextBuilder<4096>& ret_data) {
  std::size_t size = 0;
  const auto add = [&](std::string_view before, std::string_view text, std::string_view after) {
    if (text.empty()) return;
    ret_data.add(size == 0 ? "" : ",").add(before).add(text).add(after);
    size += (size == 0 ? 0 : 1) + before.size() + text.size() + after.size();
  };
  TextList options = wanted.options;
  for (std::uint32_t i = 0; i < options.count; i++) {
    const Text option = options.next();
    if (superblock_flag(option.view()) == nullptr) add("", option.view(), "");
  }
  add("", wanted.mode.view(), "");
  add("context=\"", wanted.label.view(), "\"");
  return size == ret_data.view().size() ? Status()
                                        : Status::with_detail("mount", wanted.destination.view(), "the options do not fit into a page", E2BIG);
}

// For flags that only mount(2) takes. It wants a place: a directory in a tmpfs of ours, which covers `target` for as long as it takes.
Result<Fd> mount_classic(const NewMount& wanted, unsigned long flags, std::uint64_t attributes, int target) {
  const std::string_view path = wanted.destination.view();
  TextBuilder<4096> data;
  if (const Status status = classic_data(wanted, data); status.failed()) return status;
  Result<FileSystem> tmpfs = FileSystem::open("tmpfs");
  if (tmpfs.failed()) return tmpfs.status();
  Result<Fd> scratch = tmpfs.value().mount(0);
  if (scratch.failed()) return scratch;
  const int place = scratch.value().get();
  constexpr const char* name = "mount";
  if (const int result = sys::mkdirat(place, name, 0700); result < 0) return Status(-result, "mkdirat", path);
  const Fd before(sys::openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (const Status status = attach(place, target, path); status.failed()) return status;
  if (const int result = sys::fchdir(place); result < 0) return Status(-result, "fchdir", path);
  const int mounted = sys::mount(wanted.source.c_str(), name, wanted.type.c_str(), flags, data.c_str());
  Result<Fd> tree = mounted < 0 ? Result<Fd>(Status(-mounted, "mount", path)) : clone_mount(AT_FDCWD, name, false, path);
  // With the scratch goes what is mounted in it.
  if (const int result = sys::umount2(".", MNT_DETACH); result < 0) return Status(-result, "umount2", path);
  if (const int result = sys::fchdir(before.get()); result < 0) return Status(-result, "fchdir", path);
  if (tree.failed()) return tree;
  constexpr std::uint64_t atime = 0x70;
  if (const Status status = set_attributes(tree.value().get(), attributes, atime, 0, false, path); status.failed()) return status;
  return tree;
}

}  // namespace

Status op_mount(Context& context, Fields fields) {
  const Text destination = fields.text();
  const Text type = fields.text();
  const Text source = fields.text();
  const TextList options = fields.texts();
  const Attributes attributes = read_attributes(fields);
  const bool copy_up = fields.boolean();
  const bool real_directory = fields.boolean();

  Fd target;
  // A proc file system may cover another one at its own place: the destination /proc itself is such a place after a bind of the host's.
  bool existed = false;
  STRATA_TRY(open_target(context, destination, Make::directory, real_directory, type.view() == "proc", target, &existed));

  NewMount wanted{destination, type, source, options, {}, {}};
  if (type.view() == "tmpfs" && existed && !sets(options, "mode=")) STRATA_TRY(mode_option(target.get(), wanted.mode));
  const bool is_labelled = !context.mount_label.empty() && !is_labelled_by_kernel(type.view()) && !sets(options, "context=");
  const bool label_on_root = is_labelled && type.view() == "mqueue";
  if (is_labelled && !label_on_root) wanted.label = context.mount_label;

  // A new mount has nothing below it: recursive attributes are its own. Read-only comes after what is copied into it.
  const std::uint64_t set = (attributes.recursive_set & ~attributes.clear) | attributes.set;
  const std::uint64_t early = copy_up ? set & ~std::uint64_t{MOUNT_ATTR_RDONLY} : set;
  const unsigned long flags = flags_of(options);
  Result<Fd> mount = is_classic(flags) ? mount_classic(wanted, flags, early, target.get()) : mount_new(wanted, early);
  if (mount.failed()) return mount.status();
  if (label_on_root) STRATA_TRY(label_root(mount.value().get(), context.mount_label, destination));
  if (copy_up) {
    Result<Fd> from = open_in_root(context.root.get(), destination.view(), O_RDONLY | O_DIRECTORY);
    if (from.failed()) return from.status();
    STRATA_TRY(copy_tree(from.value().get(), mount.value().get()));
    STRATA_TRY(set_attributes(mount.value().get(), set & ~early, 0, 0, false, destination.view()));
  }
  return attach_at(context, std::move(mount.value()), target.get(), destination, attributes.propagation);
}

Result<Fd> open_bind_source(Fields fields) {
  (void)fields.text();  // the destination
  const Text source = fields.text();
  const bool recursive = fields.boolean();
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U);
  const int tree = sys::open_tree(AT_FDCWD, source.c_str(), flags);
  // In a mount namespace that was copied into a user namespace nothing may be uncovered.
  if (tree == -EINVAL && !recursive) return Status::with_detail("open_tree", source.view(), "is something mounted below it? then use rbind", EINVAL);
  if (tree < 0) return Status(-tree, "open_tree", source.view());
  return Fd(tree);
}

Status op_bind(Context& context, Fields fields, std::uint32_t index) {
  Fd tree;
  if (context.prepared != nullptr) {
    tree = Fd(context.prepared[index]);
  } else {
    Result<Fd> opened = open_bind_source(fields);
    if (opened.failed()) return opened.status();
    tree = std::move(opened.value());
  }
  const Text destination = fields.text();
  const Text source = fields.text();
  (void)fields.boolean();  // recursive: see open_bind_source
  const Attributes attributes = read_attributes(fields);
  const bool over_proc = fields.boolean();
  const bool real_directory = fields.boolean();
  const std::uint32_t idmap = fields.u32();
  const Text uid_map = fields.text();
  const Text gid_map = fields.text();

  // With a prepared source the mapping was applied where the rights for it were.
  if (idmap != 0 && context.prepared == nullptr) STRATA_TRY(map_mount(tree.get(), uid_map, gid_map, idmap == 2, source.view()));

  Result<unsigned> mode = directory_mode(tree.get());
  if (mode.failed()) return mode.status();
  const Make kind = S_ISDIR(mode.value()) ? Make::directory : Make::file;
  Fd target;
  // A bind of a whole proc file system (its root is a directory) may cover /proc; files inside it only when the plan says so.
  STRATA_TRY(open_target(context, destination, kind, real_directory, over_proc || (kind == Make::directory && real_directory), target));
  STRATA_TRY(apply(tree.get(), attributes, destination.view()));
  return attach_at(context, std::move(tree), target.get(), destination, attributes.propagation);
}

Status op_remount(Context& context, Fields fields) {
  const Text destination = fields.text();
  const Attributes attributes = read_attributes(fields);
  TextList options = fields.texts();
  Fd target;
  if (is_root(destination.view())) {
    target = Fd(sys::openat(context.root.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  } else {
    Result<Fd> opened = open_in_root(context.root.get(), destination.view(), O_PATH);
    if (opened.failed()) return opened.status();
    target = std::move(opened.value());
  }
  if (options.count > 0) {
    Result<FileSystem> picked = FileSystem::pick(target.get());
    if (picked.failed()) return picked.status();
    for (std::uint32_t i = 0; i < options.count; i++) {
      const Text option = options.next();
      if (const Status status = picked.value().option(option); status.failed()) return refused_option(destination, option, status);
    }
    STRATA_TRY(picked.value().reconfigure());
  }
  STRATA_TRY(apply(target.get(), attributes, destination.view()));
  return attributes.propagation == 0 ? Status() : set_propagation(target.get(), attributes.propagation, destination.view());
}

Status op_mount_label(Context& context, Fields fields) {
  context.mount_label = fields.text();
  return {};
}

Status op_mask(Context& context, Fields fields) {
  const Text path = fields.text();
  Result<Fd> target = open_in_root(context.root.get(), path.view(), O_PATH);
  if (target.failed()) {
    const int error = target.status().error();
    return error == ENOENT || error == ENOTDIR ? Status() : target.status();
  }
  Result<unsigned> mode = directory_mode(target.value().get());
  if (mode.failed()) return mode.status();
  if (S_ISDIR(mode.value())) {
    if (!context.empty_directory.valid()) {
      Result<FileSystem> tmpfs = FileSystem::open("tmpfs");
      if (tmpfs.failed()) return tmpfs.status();
      if (!context.mount_label.empty()) STRATA_TRY(tmpfs.value().set("context", context.mount_label.c_str()));
      Result<Fd> empty = tmpfs.value().mount(MOUNT_ATTR_RDONLY);
      if (empty.failed()) return empty.status();
      context.empty_directory = std::move(empty.value());
      return attach(context.empty_directory.get(), target.value().get(), path.view());
    }
    Result<Fd> empty = clone_mount(context.empty_directory.get(), "", false, path.view());
    if (empty.failed()) return empty.status();
    return attach(empty.value().get(), target.value().get(), path.view());
  }
  // Verified: a container's image must not choose what covers the file.
  const Fd null_device(sys::openat(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct statx status {};
  if (!null_device.valid() || sys::statx(null_device.get(), "", AT_EMPTY_PATH, STATX_TYPE, &status) < 0 || !S_ISCHR(status.stx_mode) ||
      status.stx_rdev_major != 1 || status.stx_rdev_minor != 3) {
    return Status::with_detail("open", "/dev/null", "is not the null device", ENODEV);
  }
  Result<Fd> cover = clone_mount(null_device.get(), "", false, path.view());
  if (cover.failed()) return cover.status();
  STRATA_TRY(set_attributes(cover.value().get(), MOUNT_ATTR_RDONLY, 0, 0, false, path.view()));
  return attach(cover.value().get(), target.value().get(), path.view());
}

Status op_readonly(Context& context, Fields fields) {
  const Text path = fields.text();
  Result<Fd> target = open_in_root(context.root.get(), path.view(), O_PATH);
  if (target.failed()) {
    const int error = target.status().error();
    return error == ENOENT || error == ENOTDIR ? Status() : target.status();
  }
  Result<Fd> copy = clone_mount(target.value().get(), "", true, path.view());
  if (copy.failed()) return copy.status();
  STRATA_TRY(set_attributes(copy.value().get(), MOUNT_ATTR_RDONLY, 0, 0, true, path.view()));
  return attach(copy.value().get(), target.value().get(), path.view());
}

}  // namespace strata
