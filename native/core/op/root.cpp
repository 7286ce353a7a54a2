// The container's root: from a directory or from layers, and the step into it.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <cerrno>

#include <linux/stat.h>

#include "../path.hpp"
#include "../text.hpp"
#include "context.hpp"
#include "mount_util.hpp"

namespace strata {
namespace {

constexpr unsigned ms_shared = 0x100000;
constexpr unsigned ms_slave = 0x80000;
constexpr unsigned ms_private = 0x40000;

// pivot_root(2) refuses a root whose parent mount is shared, and attaching below a shared mount would show the root to the host. The mount
// that holds `directory` is found by walking up to its own root.
Status make_holder_private(int directory, std::string_view path) {
  Fd at(sys::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (;;) {
    if (!at.valid()) return {-at.release(), "openat", path};
    struct statx status {};
    if (const int error = sys::statx(at.get(), "", AT_EMPTY_PATH, STATX_TYPE, &status); error < 0) return {-error, "statx", path};
    if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) return set_propagation(at.get(), ms_private, path);
    at = Fd(sys::openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
}

// In a chroot(2) whose directory is no mount, the root has no propagation that could be set, and pivot_root(2) refuses to leave it. A copy of all
// that is below it takes its place. The copy has to be attached somewhere before it can be entered, and where nobody outside sees it: on /proc,
// which is a mount and is made private first. Nobody will look for /proc there, but in the copy.
Status make_root_a_mount() {
  const Fd root(sys::openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const Fd proc(sys::openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  STRATA_TRY(set_propagation(proc.get(), ms_private, "/proc"));
  Result<Fd> copy = clone_mount(root.get(), "", true, "/");
  if (copy.failed()) return copy.status();
  STRATA_TRY(attach(copy.value().get(), proc.get(), "/proc"));
  if (const int result = sys::fchdir(copy.value().get()); result < 0) return {-result, "fchdir", "/"};
  if (const int result = sys::chroot("."); result < 0) return {-result, "chroot", "/"};
  return {};
}

// Puts the new root where hooks and the state expect it, at `path`.
Status attach_root(Context& context, Fd root, Text path) {
  const Fd place(sys::openat(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!place.valid()) return {-place.get(), "open", path.view()};
  if (context.shared_propagation) STRATA_TRY(make_holder_private(place.get(), path.view()));
  STRATA_TRY(attach(root.get(), place.get(), path.view()));
  context.root = std::move(root);
  return {};
}

// The root was mounted with the host's rights before this user namespace existed, and came along as the working directory. The mounts that
// were copied into our namespace are locked together, and pivot_root refuses a locked root, so it is cloned onto itself.
Status adopt_prepared_root(Context& context, Text path) {
  Result<Fd> root = clone_mount(AT_FDCWD, ".", true, path.view());
  if (root.failed()) return root.status();
  const Fd here(sys::openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  STRATA_TRY(attach(root.value().get(), here.get(), path.view()));
  context.root = std::move(root.value());
  return {};
}

// One layer. The new API takes 256 bytes of text at most and resolves it at once, so a longer path goes by descriptor, one at a time: 500
// layers need no 500 descriptors. So does one with a backslash, which overlayfs takes for an escape in some of its parameters.
Status add_layer(FileSystem& overlay, const char* key, Text path) {
  if (path.size < 256 && path.view().find('\\') == std::string_view::npos) {
    const Status status = overlay.set(key, path.c_str());
    if (!status.failed()) return status;
    return Status::with_detail(status.call(), path.view(), status.detail(), status.error());
  }
  const Fd layer(sys::openat(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!layer.valid()) return {-layer.get(), "open", path.view()};
  TextBuilder<32> short_path;
  short_path.add("/proc/self/fd/").add_number(static_cast<std::uint64_t>(layer.get()));
  const Status status = overlay.set(key, short_path.c_str());
  if (!status.failed()) return status;
  return Status::with_detail(status.call(), path.view(), status.detail(), status.error());
}

// For kernels that take the layers only as mount data. Afterwards it is a detached mount, as the new API makes it.
Result<Fd> classic_overlay(const char* data, Text path) {
  if (const int result = sys::mount("overlay", path.c_str(), "overlay", 0, data); result < 0) return Status(-result, "mount", path.view());
  const Fd mounted(sys::openat(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!mounted.valid()) return Status(-mounted.get(), "open", path.view());
  Result<Fd> tree = clone_mount(mounted.get(), "", false, path.view());
  if (const int result = sys::umount2(path.c_str(), MNT_DETACH); result < 0) return Status(-result, "umount2", path.view());
  return tree;
}

Result<Fd> mount_overlay(TextList lower, Text upper, Text work, TextList options) {
  Result<FileSystem> opened = FileSystem::open("overlay");
  if (opened.failed()) return opened.status();
  FileSystem& overlay = opened.value();
  if (const Status status = overlay.set("source", "overlay"); status.failed()) return status;
  for (std::uint32_t i = 0; i < lower.count; i++) {
    if (const Status status = add_layer(overlay, "lowerdir+", lower.next()); status.failed()) return status;
  }
  if (!upper.empty()) {
    if (const Status status = add_layer(overlay, "upperdir", upper); status.failed()) return status;
    if (const Status status = add_layer(overlay, "workdir", work); status.failed()) return status;
  }
  for (std::uint32_t i = 0; i < options.count; i++) {
    if (const Status status = overlay.option(options.next()); status.failed()) return status;
  }
  return overlay.mount(0);
}

}  // namespace

Status set_root_propagation(unsigned propagation) {
  Fd root(sys::openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  Status status = set_propagation(root.get(), propagation, "/");
  if (status.error() != EINVAL) return status;
  STRATA_TRY(make_root_a_mount());
  root = Fd(sys::openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return set_propagation(root.get(), propagation, "/");
}

Status op_propagation(Context& context, Fields fields) {
  const unsigned propagation = fields.u32();
  context.shared_propagation = (propagation & ms_shared) != 0;
  return set_root_propagation(propagation);
}

Status op_host_bind(Fields fields) {
  const Text source = fields.text();
  const Text directory = fields.text();
  Result<Fd> copy = clone_mount(AT_FDCWD, source.c_str(), false, source.view());
  if (copy.failed()) return copy.status();
  const Fd place(sys::openat(AT_FDCWD, directory.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!place.valid()) return {-place.get(), "open", directory.view()};
  return attach(copy.value().get(), place.get(), directory.view());
}

Status op_root_bind(Context& context, Fields fields) {
  const Text path = fields.text();
  if (context.root_prepared) return adopt_prepared_root(context, path);
  const Fd place(sys::openat(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!place.valid()) return {-place.get(), "open", path.view()};
  if (context.shared_propagation) STRATA_TRY(make_holder_private(place.get(), path.view()));
  Result<Fd> root = clone_mount(place.get(), "", true, path.view());
  if (root.failed()) return root.status();
  return attach_root(context, std::move(root.value()), path);
}

Status op_root_overlay(Context& context, Fields fields) {
  const Text path = fields.text();
  TextList lower = fields.texts();
  const Text upper = fields.text();
  const Text work = fields.text();
  const TextList options = fields.texts();
  const Text classic = fields.text();
  if (context.root_prepared) return adopt_prepared_root(context, path);
  if (lower.count == 1 && upper.empty()) {
    // overlayfs wants two layers or an upper; one read-only layer is that layer, read-only.
    const Text only = lower.next();
    const Fd layer(sys::openat(AT_FDCWD, only.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!layer.valid()) return {-layer.get(), "open", only.view()};
    Result<Fd> root = clone_mount(layer.get(), "", false, only.view());
    if (root.failed()) return root.status();
    STRATA_TRY(set_attributes(root.value().get(), MOUNT_ATTR_RDONLY, 0, ms_private, false, only.view()));
    return attach_root(context, std::move(root.value()), path);
  }
  Result<Fd> root = classic.empty() ? mount_overlay(lower, upper, work, options) : classic_overlay(classic.c_str(), path);
  if (root.failed()) return root.status();
  return attach_root(context, std::move(root.value()), path);
}

Status op_root_readonly(Context& context) { return set_attributes(context.root.get(), MOUNT_ATTR_RDONLY, 0, 0, false, "/"); }

Status op_pivot(Context& context, Fields fields) {
  enum : std::uint32_t { pivot = 0, move = 1, root_only = 2 };
  const std::uint32_t mode = fields.u32();
  const unsigned propagation = fields.u32();
  if (context.final_mount_namespace.valid()) {
    // A copy of the finished tree that belongs to no namespace can be entered from any, and goes with the last process in it.
    Result<Fd> tree = clone_mount(context.root.get(), "", true, "/");
    if (tree.failed()) return tree.status();
    constexpr int mount_namespace = 0x00020000;  // CLONE_NEWNS; 0 would take whatever it is
    const int result = sys::setns(context.final_mount_namespace.get(), mount_namespace);
    if (result == -EINVAL) return Status::with_detail("setns", "mount", "is not a namespace of this type", EINVAL);
    if (result < 0) return {-result, "setns", "mount"};
    context.final_mount_namespace.reset();
    context.root = std::move(tree.value());
  }
  if (const int result = sys::fchdir(context.root.get()); result < 0) return {-result, "fchdir", "/"};
  if (mode == pivot) {
    // The old root ends up stacked on the new one, where "." finds it: no directory is needed for it (pivot_root(2), notes).
    if (const int result = sys::pivot_root(".", "."); result < 0) return {-result, "pivot_root", "/"};
    if (context.shared_propagation) {
      mount_attr slave{};
      slave.propagation = ms_slave;
      // Else the detach below would travel to the host's own mounts.
      if (const int result = sys::mount_setattr(AT_FDCWD, ".", AT_RECURSIVE, &slave, sizeof slave); result < 0) {
        return {-result, "mount_setattr", "/"};
      }
    }
    if (const int result = sys::umount2(".", MNT_DETACH); result < 0) return {-result, "umount2", "/"};
  } else {
    if (mode == move) {
      const int result = sys::move_mount(context.root.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
      if (result < 0) return {-result, "move_mount", "/"};
    }
    if (const int result = sys::chroot("."); result < 0) return {-result, "chroot", "/"};
  }
  if (const int result = sys::chdir("/"); result < 0) return {-result, "chdir", "/"};
  if (propagation != 0) STRATA_TRY(set_propagation(context.root.get(), propagation, "/"));
  return {};
}

}  // namespace strata
