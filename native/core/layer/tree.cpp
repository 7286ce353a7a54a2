#include "tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <utility>

#include <linux/openat2.h>

namespace strata::layer {
namespace {

// Levels whose descriptors are kept.
constexpr std::size_t most_open = 64;

std::uint64_t device_number(const struct statx& status) { return std::uint64_t{status.stx_dev_major} << 32 | status.stx_dev_minor; }

std::uint64_t device_of(int directory) {
  struct statx status {};
  return sys::statx(directory, "", AT_EMPTY_PATH, STATX_INO, &status) == 0 ? device_number(status) : 0;
}

}  // namespace

// Kernels before 5.6 tell mounts by their devices.
Result<Fd> open_same_mount(int directory, const char* name) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  const int descriptor = sys::openat2(directory, name, &how, sizeof how);
  if (descriptor >= 0) return Fd(descriptor);
  if (descriptor != -ENOSYS) return Status(-descriptor, "openat2", name);
  Result<Fd> opened = open_directory(directory, name);
  if (!opened.failed() && device_of(opened.value().get()) != device_of(directory)) return Status(EXDEV, "open", name);
  return opened;
}

Status TreeWalk::read_names(Level& ret_level) const {
  struct statx status {};
  const int result = sys::statx(ret_level.fd.get(), "", AT_EMPTY_PATH, STATX_INO, &status);
  if (result < 0) return Status(-result, "statx", ret_level.name);
  ret_level.device = device_number(status);
  ret_level.inode = status.stx_ino;
  alignas(sys::DirectoryEntry) std::array<char, 32 * 1024> buffer;
  for (;;) {
    const long size = sys::getdents64(ret_level.fd.get(), buffer.data(), buffer.size());
    if (size < 0) return Status(static_cast<int>(-size), "getdents64", ret_level.name);
    if (size == 0) break;
    for (long offset = 0; offset < size;) {
      const auto* entry = reinterpret_cast<const sys::DirectoryEntry*>(buffer.data() + offset);
      offset += entry->length;
      const std::string_view name = entry->name;
      if (name == "." || name == "..") continue;
      bool directory = entry->type == DT_DIR;
      if (entry->type == DT_UNKNOWN) {
        struct statx unknown {};
        directory = status_of(ret_level.fd.get(), entry->name, unknown) == 0 && layer::is_directory(unknown);
      }
      ret_level.names.push_back({std::string(name), directory});
    }
  }
  if (order_ == Order::sorted) {
    std::sort(ret_level.names.begin(), ret_level.names.end(), [](const Name& a, const Name& b) { return a.name < b.name; });
  }
  return {};
}

Result<TreeWalk::Step> TreeWalk::next() {
  if (!begun_) {
    begun_ = true;
    STRATA_TRY(read_names(levels_.back()));
  }
  Level& level = levels_.back();
  if (level.at < level.names.size()) {
    name_ = std::move(level.names[level.at++]);
    return Step::entry;
  }
  if (levels_.size() == 1) return Step::end;
  STRATA_TRY(reopen_parent());
  name_ = {std::move(level.name), true};
  levels_.pop_back();
  return Step::left;
}

Status TreeWalk::enter() {
  Level& level = levels_.back();
  Result<Fd> opened = open_same_mount(level.fd.get(), name_.name.c_str());
  if (opened.failed()) return opened.status();
  Level below{std::move(opened.value()), name_.name, {}, 0, 0, 0};
  STRATA_TRY(read_names(below));
  if (levels_.size() >= most_open) levels_[levels_.size() - most_open].fd.reset();
  levels_.push_back(std::move(below));
  return {};
}

// A directory cannot be moved unseen: its parent has to be the one it was entered from.
Status TreeWalk::reopen_parent() {
  Level& parent = levels_[levels_.size() - 2];
  if (parent.fd.valid()) return {};
  const int descriptor = sys::openat(levels_.back().fd.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return Status(-descriptor, "open", "..");
  Fd opened(descriptor);
  struct statx status {};
  if (const int result = sys::statx(descriptor, "", AT_EMPTY_PATH, STATX_INO, &status); result < 0) return Status(-result, "statx", "..");
  if (status.stx_ino != parent.inode || device_number(status) != parent.device) {
    return Status(ESTALE, "open", "..");
  }
  parent.fd = std::move(opened);
  return {};
}

std::string TreeWalk::path() const {
  std::string path;
  for (std::size_t i = 1; i < levels_.size(); i++) path += levels_[i].name + "/";
  return path + name_.name;
}

namespace {

Status remove_contents(Fd directory) {
  TreeWalk walk(std::move(directory));
  for (;;) {
    Result<TreeWalk::Step> step = walk.next();
    if (step.failed()) return step.status();
    if (step.value() == TreeWalk::Step::end) return {};
    const bool left = step.value() == TreeWalk::Step::left;
    if (!left && walk.is_directory()) {
      const Status status = walk.enter();
      if (status.error() == EXDEV) return Status(EBUSY, "unlinkat", walk.path());
      if (status.failed() && status.error() != ENOENT) return Status(status.error(), status.call(), walk.path());
      continue;
    }
    const int result = sys::unlinkat(walk.directory(), walk.name(), left ? AT_REMOVEDIR : 0);
    if (result < 0 && result != -ENOENT) return Status(-result, "unlinkat", walk.path());
  }
}

}  // namespace

Status remove_node(int directory, const char* name) {
  const int result = sys::unlinkat(directory, name, 0);
  if (result == 0 || result == -ENOENT) return {};
  // POSIX has EPERM for a directory.
  if (result != -EISDIR && result != -EPERM) return Status(-result, "unlinkat", name);
  Result<Fd> opened = open_same_mount(directory, name);
  if (opened.failed()) return Status(opened.status().error() == EXDEV ? EBUSY : -result, "unlinkat", name);
  STRATA_TRY(remove_contents(std::move(opened.value())));
  const int removed = sys::unlinkat(directory, name, AT_REMOVEDIR);
  return removed < 0 ? Status(-removed, "unlinkat", name) : Status();
}

Status remove_tree(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") return Status(EINVAL, "unlinkat", path);
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int descriptor = sys::openat(AT_FDCWD, parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (descriptor == -ENOENT) return {};
  if (descriptor < 0) return Status(-descriptor, "open", parent);
  const Fd directory(descriptor);
  const Status status = remove_node(directory.get(), name.c_str());
  return status.failed() ? Status(status.error(), status.call(), path + (name == status.path() ? "" : std::string("/") + status.path())) : Status();
}

Result<double> disk_usage(const std::string& path) {
  Result<Fd> root = open_directory(AT_FDCWD, path.c_str());
  if (root.failed()) return root.status();
  TreeWalk walk(std::move(root.value()));
  std::set<std::uint64_t> linked;  // inodes: all are of one file system
  std::uint64_t total = 0;
  for (;;) {
    Result<TreeWalk::Step> step = walk.next();
    if (step.failed()) return step.status();
    if (step.value() == TreeWalk::Step::end) return static_cast<double>(total);
    if (step.value() == TreeWalk::Step::left) continue;
    if (walk.is_directory()) {
      const Status status = walk.enter();
      // It may go or become something else while we look, and what is mounted there is not part of it.
      const int error = status.error();
      const bool gone = error == ENOENT || error == ENOTDIR || error == ELOOP || error == EXDEV;
      if (status.failed() && !gone) return Status(status.error(), status.call(), walk.path());
      continue;
    }
    struct statx status {};
    const int result = status_of(walk.directory(), walk.name(), status);
    if (result == -ENOENT) continue;
    if (result < 0) return Status(-result, "statx", walk.path());
    if (is_regular(status) && (status.stx_nlink == 1 || linked.insert(status.stx_ino).second)) total += status.stx_size;
  }
}

namespace {

// What is told by the walk, opened; an invalid descriptor for what needs none, a failure of EINVAL for what cannot be synced.
Result<Fd> open_to_sync(const TreeWalk& walk) {
  struct statx status {};
  const int result = status_of(walk.directory(), walk.name(), status);
  if (result < 0) return Status(-result, "statx", walk.path());
  // A whiteout is a name and nothing more.
  if (S_ISCHR(status.stx_mode) && status.stx_rdev_major == 0 && status.stx_rdev_minor == 0) return Fd();
  if (!is_regular(status) || status.stx_nlink != 1) return Status(EINVAL, "fsync", walk.path());
  const int descriptor = sys::openat(walk.directory(), walk.name(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  return descriptor < 0 ? Result<Fd>(Status(-descriptor, "open", walk.path())) : Result<Fd>(Fd(descriptor));
}

}  // namespace

Result<bool> sync_tree(const std::string& path, unsigned most) {
  Result<Fd> root = open_directory(AT_FDCWD, path.c_str());
  if (root.failed()) return root.status();
  std::vector<Fd> nodes;
  Result<Fd> again = open_directory(root.value().get(), ".");
  if (again.failed()) return again.status();
  nodes.push_back(std::move(again.value()));
  TreeWalk walk(std::move(root.value()));
  for (;;) {
    Result<TreeWalk::Step> step = walk.next();
    if (step.failed()) return step.status();
    if (step.value() == TreeWalk::Step::end) break;
    if (step.value() == TreeWalk::Step::left) continue;
    if (nodes.size() > most) return false;
    Result<Fd> node = walk.is_directory() ? open_same_mount(walk.directory(), walk.name()) : open_to_sync(walk);
    if (node.failed() && node.status().error() == EINVAL) return false;
    if (node.failed()) return node.status();
    if (walk.is_directory()) STRATA_TRY(walk.enter());
    nodes.push_back(std::move(node.value()));
  }
  // Each directory after what is in it.
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    const int result = node->valid() ? sys::fsync(node->get()) : 0;
    if (result < 0) return Status(-result, "fsync", path);
  }
  return true;
}

}  // namespace strata::layer
