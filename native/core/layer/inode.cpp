#include "inode.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

#include <linux/openat2.h>

#include "../text.hpp"

namespace strata::layer {
namespace {

constexpr unsigned permission_bits = 07777;
// XATTR_LIST_MAX and XATTR_SIZE_MAX.
constexpr std::size_t largest_size = 65536;
constexpr std::size_t usual_size = 4096;

Status failed(long result, const char* call, std::string_view path) { return Status(static_cast<int>(-result), call, path); }

// Extended attributes of what cannot be opened, such as a symbolic link or a device, have a call that takes a path only. This one has a single
// component behind the directory's descriptor.
std::string attribute_path(int directory, const char* name) { return "/proc/self/fd/" + std::to_string(directory) + "/" + name; }

}  // namespace

bool is_overlay_attribute(std::string_view name) {
  constexpr std::string_view prefixes[] = {"trusted.overlay.", "user.overlay."};
  return std::any_of(std::begin(prefixes), std::end(prefixes), [name](std::string_view prefix) { return head(name, prefix.size()) == prefix; });
}

bool is_of_machine(std::string_view name) { return name.substr(0, 9) == "security." && name != "security.capability"; }

bool is_whiteout(const struct statx& status) {
  return (status.stx_mode & S_IFMT) == S_IFCHR && status.stx_rdev_major == 0 && status.stx_rdev_minor == 0;
}
bool is_directory(const struct statx& status) { return (status.stx_mode & S_IFMT) == S_IFDIR; }
bool is_regular(const struct statx& status) { return (status.stx_mode & S_IFMT) == S_IFREG; }
bool is_symlink(const struct statx& status) { return (status.stx_mode & S_IFMT) == S_IFLNK; }

Result<bool> is_opaque(int directory) {
  // No archive brings either: what is there was made by us.
  for (const char* attribute : {opaque_attribute, user_opaque_attribute}) {
    char value = 0;
    const long size = sys::fgetxattr(directory, attribute, &value, sizeof value);
    if (size == -ENODATA || size == -EOPNOTSUPP || size == -ERANGE) continue;
    if (size < 0) return failed(size, "fgetxattr", "");
    if (value == 'y') return true;
  }
  return false;
}

Timestamp mtime_of(const struct statx& status) { return {status.stx_mtime.tv_sec, status.stx_mtime.tv_nsec}; }

int status_of(int directory, const char* name, struct statx& ret_status) {
  return sys::statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &ret_status);
}

Result<Fd> open_directory(int directory, const char* name) {
  const int descriptor = sys::openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) return failed(descriptor, "open", name);
  return Fd(descriptor);
}

Result<Fd> open_below(int root, const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const int descriptor = sys::openat2(root, path.empty() ? "." : path.c_str(), &how, sizeof how);
  if (descriptor >= 0) return Fd(descriptor);
  if (descriptor != -ENOSYS) return failed(descriptor, "openat2", path);
  Result<Fd> directory = open_directory(root, ".");
  for (std::size_t at = 0; at < path.size() && !directory.failed();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    directory = open_directory(directory.value().get(), path.substr(at, end - at).c_str());
    at = end + 1;
  }
  return directory;
}

Result<Attributes> attributes_of(int directory, const char* name) {
  const std::string path = attribute_path(directory, name);
  Attributes attributes;
  std::string names(usual_size, '\0');
  long size = sys::llistxattr(path.c_str(), names.data(), names.size());
  if (size == -ERANGE) {
    names.resize(largest_size);
    size = sys::llistxattr(path.c_str(), names.data(), names.size());
  }
  if (size == -EOPNOTSUPP) return attributes;
  if (size < 0) return failed(size, "llistxattr", name);
  std::string value(usual_size, '\0');
  for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
    const std::string attribute = names.c_str() + at;
    at += attribute.size() + 1;
    if (is_overlay_attribute(attribute) || is_of_machine(attribute)) continue;
    long length = sys::lgetxattr(path.c_str(), attribute.c_str(), value.data(), value.size());
    if (length == -ERANGE) {
      value.resize(largest_size);
      length = sys::lgetxattr(path.c_str(), attribute.c_str(), value.data(), value.size());
    }
    if (length < 0) return failed(length, "lgetxattr", name);
    attributes.push_back({attribute, value.substr(0, static_cast<std::size_t>(length))});
  }
  return attributes;
}

Status set_attribute(int directory, const char* name, std::string_view attribute, std::string_view value, std::uint64_t& ret_unsupported) {
  const std::string path = attribute_path(directory, name);
  const int result = sys::lsetxattr(path.c_str(), std::string(attribute).c_str(), value.data(), value.size(), 0);
  if (result == -EOPNOTSUPP) {
    ret_unsupported++;
  } else if (result < 0) {
    return failed(result, "lsetxattr", name);
  }
  return {};
}

Status remove_attributes(int directory) {
  Result<Attributes> attributes = attributes_of(directory, ".");
  if (attributes.failed()) return attributes.status();
  for (const Attribute& attribute : attributes.value()) {
    const int result = sys::fremovexattr(directory, attribute.name.c_str());
    if (result < 0) return failed(result, "fremovexattr", attribute.name);
  }
  return {};
}

Result<std::string> link_target(int directory, const char* name) {
  std::array<char, PATH_MAX> target;
  const long size = sys::readlinkat(directory, name, target.data(), target.size());
  if (size < 0) return failed(size, "readlinkat", name);
  return std::string(target.data(), static_cast<std::size_t>(size));
}

Status set_times(int directory, const char* name, Timestamp mtime) {
  const timespec time{static_cast<time_t>(mtime.seconds), static_cast<long>(mtime.nanoseconds)};
  const timespec times[2] = {time, time};
  const int result = sys::utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW);
  return result < 0 ? failed(result, "utimensat", name) : Status();
}

Status set_owner_and_mode(int directory, const char* name, unsigned uid, unsigned gid, unsigned mode) {
  if (const int result = sys::fchownat(directory, name, uid, gid, AT_SYMLINK_NOFOLLOW); result < 0) return failed(result, "fchownat", name);
  if ((mode & S_IFMT) == S_IFLNK) return {};
  // It would follow a symbolic link, which this is not.
  const int result = sys::fchmodat(directory, name, mode & permission_bits);
  return result < 0 ? failed(result, "fchmodat", name) : Status();
}

Status copy_contents(int from, int to, std::uint64_t size) {
  if (const int result = sys::ftruncate(to, static_cast<std::int64_t>(size)); result < 0) return failed(result, "ftruncate", "");
  const auto end = static_cast<std::int64_t>(size);
  for (std::int64_t at = 0; at < end;) {
    const std::int64_t data = sys::lseek(from, at, SEEK_DATA);
    if (data == -ENXIO) break;
    std::int64_t hole = end;
    if (data >= 0) {
      hole = sys::lseek(from, data, SEEK_HOLE);
      if (hole < 0) return failed(hole, "lseek", "");
      if (data < at || hole <= data) return Status(EIO, "lseek");
      at = data;
    } else if (data != -EINVAL) {
      return failed(data, "lseek", "");
    }
    hole = std::min(hole, end);
    bool by_hand = false;
    while (at < hole) {
      std::int64_t target = at;
      const auto left = static_cast<std::size_t>(hole - at);
      long copied = by_hand ? -EXDEV : sys::copy_file_range(from, &at, to, &target, left);
      if (copied == -EINTR) continue;
      if (copied == -EXDEV || copied == -EINVAL || copied == -ENOSYS || copied == -EOPNOTSUPP) {
        by_hand = true;
        std::array<char, 64 * 1024> part;
        const long count = sys::pread(from, part.data(), std::min(left, part.size()), at);
        if (count < 0) return failed(count, "pread", "");
        copied = count == 0 ? 0 : sys::pwrite(to, part.data(), static_cast<std::size_t>(count), at);
        if (copied > 0) at += copied;
      }
      if (copied < 0) return failed(copied, "copy_file_range", "");
      if (copied == 0) return {};  // shorter than it was
    }
  }
  return {};
}

Status copy_node(int from, const char* from_name, const struct statx& status, int to, const char* to_name) {
  if (is_regular(status)) {
    const Fd source(sys::openat(from, from_name, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (!source.valid()) return failed(source.get(), "open", from_name);
    const Fd copy(sys::openat(to, to_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!copy.valid()) return failed(copy.get(), "open", to_name);
    if (const Status copied = copy_contents(source.get(), copy.get(), status.stx_size); copied.failed()) {
      return Status(copied.error(), copied.call(), from_name);
    }
  } else if (is_symlink(status)) {
    Result<std::string> target = link_target(from, from_name);
    if (target.failed()) return target.status();
    if (const int result = sys::symlinkat(target.value().c_str(), to, to_name); result < 0) return failed(result, "symlinkat", to_name);
  } else {
    const std::uint64_t device = makedev(status.stx_rdev_major, status.stx_rdev_minor);
    if (const int result = sys::mknodat(to, to_name, status.stx_mode, device); result < 0) return failed(result, "mknodat", to_name);
  }
  STRATA_TRY(set_owner_and_mode(to, to_name, status.stx_uid, status.stx_gid, status.stx_mode));
  Result<Attributes> attributes = attributes_of(from, from_name);
  if (attributes.failed()) return attributes.status();
  std::uint64_t unsupported = 0;
  for (const Attribute& attribute : attributes.value()) STRATA_TRY(set_attribute(to, to_name, attribute.name, attribute.value, unsupported));
  return set_times(to, to_name, mtime_of(status));
}

Status copy_directory_attributes(int from, const char* from_name, const struct statx& status, int to, const char* to_name,
                                 std::string& ret_default_acl) {
  STRATA_TRY(set_owner_and_mode(to, to_name, status.stx_uid, status.stx_gid, status.stx_mode));
  Result<Attributes> attributes = attributes_of(from, from_name);
  if (attributes.failed()) return attributes.status();
  std::uint64_t unsupported = 0;
  for (const Attribute& attribute : attributes.value()) {
    if (attribute.name == default_acl) {
      ret_default_acl = attribute.value;
    } else {
      STRATA_TRY(set_attribute(to, to_name, attribute.name, attribute.value, unsupported));
    }
  }
  return {};
}

}  // namespace strata::layer
