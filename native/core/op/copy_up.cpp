// tmpcopyup: what an image has at a place, in the tmpfs that covers it.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <cerrno>
#include <ctime>

#include <linux/stat.h>

#include "context.hpp"

namespace strata {
namespace {

constexpr int depth_limit = 128;

Status copy_attributes(int from, int to, const char* name) {
  char names[4096];
  const long size = sys::flistxattr(from, names, sizeof names);
  if (size == -EOPNOTSUPP || size == -EBADF) return {};
  if (size < 0) return {static_cast<int>(-size), "flistxattr", name};
  for (const char* at = names; at < names + size; at += std::strlen(at) + 1) {
    char value[4096];
    const long length = sys::fgetxattr(from, at, value, sizeof value);
    if (length < 0) return {static_cast<int>(-length), "fgetxattr", name};
    const int result = sys::fsetxattr(to, at, value, static_cast<std::size_t>(length), 0);
    // A tmpfs keeps no attributes of some namespaces; contents matter more.
    if (result < 0 && result != -EOPNOTSUPP && result != -EPERM) return {-result, "fsetxattr", name};
  }
  return {};
}

Status copy_contents(int from, int to, const char* name) {
  for (;;) {
    const long copied = sys::sendfile(to, from, nullptr, std::size_t{1} << 24);
    if (copied == -EINTR) continue;
    if (copied < 0) return {static_cast<int>(-copied), "sendfile", name};
    if (copied == 0) return {};
  }
}

// Owner before mode: chown(2) clears setuid.
Status copy_owner_and_mode(int directory, const char* name, const struct statx& status, bool symlink) {
  if (const int result = sys::fchownat(directory, name, status.stx_uid, status.stx_gid, AT_SYMLINK_NOFOLLOW); result < 0) {
    return {-result, "fchownat", name};
  }
  if (!symlink) {
    if (const int result = sys::fchmodat(directory, name, status.stx_mode & 07777U); result < 0) return {-result, "fchmodat", name};
  }
  const timespec times[2] = {{static_cast<time_t>(status.stx_atime.tv_sec), static_cast<long>(status.stx_atime.tv_nsec)},
                             {static_cast<time_t>(status.stx_mtime.tv_sec), static_cast<long>(status.stx_mtime.tv_nsec)}};
  const int result = sys::utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW);
  return result < 0 ? Status(-result, "utimensat", name) : Status();
}

Status copy_directory(int from, int to, int depth);

Status copy_entry(int from, int to, const char* name, int depth) {
  struct statx status {};
  if (const int result = sys::statx(from, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status); result < 0) return {-result, "statx", name};
  const unsigned type = status.stx_mode & S_IFMT;
  if (type == S_IFDIR) {
    if (const int result = sys::mkdirat(to, name, 0700); result < 0) return {-result, "mkdirat", name};
    const Fd source(sys::openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const Fd target(sys::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!source.valid()) return {-source.get(), "openat", name};
    if (!target.valid()) return {-target.get(), "openat", name};
    STRATA_TRY(copy_directory(source.get(), target.get(), depth + 1));
    STRATA_TRY(copy_attributes(source.get(), target.get(), name));
  } else if (type == S_IFREG) {
    const Fd source(sys::openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    const Fd target(sys::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!source.valid()) return {-source.get(), "openat", name};
    if (!target.valid()) return {-target.get(), "openat", name};
    STRATA_TRY(copy_contents(source.get(), target.get(), name));
    STRATA_TRY(copy_attributes(source.get(), target.get(), name));
  } else if (type == S_IFLNK) {
    char target[4097];
    const long size = sys::readlinkat(from, name, target, sizeof target - 1);
    if (size < 0) return {static_cast<int>(-size), "readlinkat", name};
    target[size] = '\0';
    if (const int result = sys::symlinkat(target, to, name); result < 0) return {-result, "symlinkat", name};
  } else {
    const int result = sys::mknodat(to, name, status.stx_mode, makedev(status.stx_rdev_major, status.stx_rdev_minor));
    if (result < 0) return {-result, "mknodat", name};
  }
  return copy_owner_and_mode(to, name, status, type == S_IFLNK);
}

Status copy_directory(int from, int to, int depth) {
  if (depth > depth_limit) return {ELOOP, "tmpcopyup"};
  alignas(sys::DirectoryEntry) char buffer[4096];
  for (;;) {
    const long size = sys::getdents64(from, buffer, sizeof buffer);
    if (size < 0) return {static_cast<int>(-size), "getdents64"};
    if (size == 0) return {};
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const sys::DirectoryEntry*>(buffer + at);
      at += entry->length;
      const std::string_view name = entry->name;
      if (name != "." && name != "..") STRATA_TRY(copy_entry(from, to, entry->name, depth));
    }
  }
}

}  // namespace

Status copy_tree(int from, int to) { return copy_directory(from, to, 0); }

}  // namespace strata
