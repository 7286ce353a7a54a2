// Small steps that several operations on mounts share.
#pragma once

#include <fcntl.h>

#include <linux/mount.h>

#include "../error.hpp"
#include "../fd.hpp"
#include "../plan.hpp"

namespace strata {

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

// mount_setattr(2) on the mount that `mount` is the root of. Nothing is called when nothing would change.
inline Status set_attributes(int mount, std::uint64_t set, std::uint64_t clear, unsigned propagation, bool recursive, std::string_view path) {
  if (set == 0 && clear == 0 && propagation == 0) return {};
  mount_attr attributes{};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  attributes.propagation = propagation;
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  const int result = sys::mount_setattr(mount, "", flags, &attributes, sizeof attributes);
  if (result < 0) return {-result, "mount_setattr", path};
  return {};
}

// MS_* propagation, MS_REC included, on a mount.
inline Status set_propagation(int mount, unsigned propagation, std::string_view path) {
  constexpr unsigned ms_rec = 0x4000;
  return set_attributes(mount, 0, 0, propagation & ~ms_rec, (propagation & ms_rec) != 0, path);
}

// Attaches a detached mount on top of what `target` (O_PATH) is.
inline Status attach(int mount, int target, std::string_view path) {
  const int result = sys::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
  if (result < 0) return {-result, "move_mount", path};
  return {};
}

// A detached copy of the mount (tree) that `from` shows.
inline Result<Fd> clone_mount(int from, const char* path, bool recursive, std::string_view shown) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  const int tree = sys::open_tree(from, path, flags);
  if (tree < 0) return Status(-tree, "open_tree", shown);
  return Fd(tree);
}

// A file system instance, mostly a new one, that is being configured. The kernel's own message on a failure becomes the detail.
class FileSystem {
 public:
  static Result<FileSystem> open(const char* type);
  // One that exists, to change it.
  static Result<FileSystem> pick(int mount);
  Status set(const char* key, const char* value);
  Status flag(const char* key);
  // `option` is `key` or `key=value`, as in mount(8).
  Status option(Text option);
  // Create the superblock and a detached mount of it.
  Result<Fd> mount(std::uint64_t attributes);
  Status reconfigure();

 private:
  Status fail(int error, const char* call, std::string_view what);
  Fd fd_;
  FixedText<64> type_;
};

}  // namespace strata
