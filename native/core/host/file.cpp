#include "file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>

#include <linux/fs.h>
#include <linux/stat.h>

#include "utf8.hpp"

namespace strata::host {
namespace {

constexpr unsigned permission_bits = 07777;

const char* type_name(unsigned mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return "directory";
    case S_IFLNK: return "symlink";
    case S_IFSOCK: return "socket";
    case S_IFCHR: return "character";
    case S_IFBLK: return "block";
    case S_IFIFO: return "fifo";
    default: return "file";
  }
}

// `.NAME.tmp.PID.N` beside `path`: no other thread or process makes the same name, and who looks for leftovers knows whose they were.
std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter = 0;
  const std::size_t slash = path.rfind('/');
  const std::size_t base = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(0, base) + "." + path.substr(base) + ".tmp." + std::to_string(sys::getpid()) + "." + std::to_string(counter++);
}

Status write_new(const std::string& name, std::string_view text, unsigned mode) {
  Result<Fd> file = open_file(AT_FDCWD, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if (file.failed()) return file.status();
  if (const int result = sys::fchmod(file.value().get(), mode); result < 0) return Status(-result, "fchmod", name);
  if (Status status = write_all(file.value().get(), text); status.failed()) return Status(status.error(), status.call(), name);
  return {};
}

bool is_directory(const std::string& path) {
  struct statx status {};
  return sys::statx(AT_FDCWD, path.c_str(), 0, STATX_TYPE, &status) == 0 && S_ISDIR(status.stx_mode);
}

}  // namespace

Result<Fd> open_file(int directory, const char* path, int flags, unsigned mode) {
  const int descriptor = sys::openat(directory, path, flags | O_CLOEXEC, mode);
  if (descriptor < 0) return Status(-descriptor, "open", path);
  return Fd(descriptor);
}

namespace {

// `waits`: for what a non-blocking descriptor does not have yet.
Result<std::string> read_rest(int descriptor, std::size_t limit, bool waits, const char* path) {
  std::string text;
  for (;;) {
    char part[16 * 1024];  // not filled with zeros, which would cost more than most files
    const long count = sys::read(descriptor, part, sizeof part);
    if (count == -EINTR) continue;
    if (count == -EAGAIN && waits) {
      pollfd readable{descriptor, POLLIN, 0};
      sys::poll(&readable, 1, -1);
      continue;
    }
    if (count < 0) return Status(static_cast<int>(-count), "read", path);
    if (count == 0) return text;
    text.append(part, static_cast<std::size_t>(count));
    if (text.size() > limit) return Status(EFBIG, "read", path);
  }
}

}  // namespace

Result<std::string> read_file_at(int directory, const char* path, std::size_t limit) {
  // Whoever puts a fifo where a file should be must not make us wait for its other end.
  Result<Fd> file = open_file(directory, path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  if (file.failed()) return file.status();
  return read_rest(file.value().get(), limit, false, path);
}

Result<std::string> read_all(int descriptor, std::size_t limit) {
  Result<std::string> text = read_rest(descriptor, limit, true, "");
  if (!text.failed() && !is_utf8(text.value())) return Status(EILSEQ, "read");
  return text;
}

Result<std::string> read_text(const std::string& path, std::size_t limit) {
  Result<std::string> text = read_file_at(AT_FDCWD, path.c_str(), limit);
  if (!text.failed() && !is_utf8(text.value())) return Status(EILSEQ, "read", path);
  return text;
}

Status write_text(const std::string& path, std::string_view text) {
  Result<Fd> file = open_file(AT_FDCWD, path.c_str(), O_WRONLY | O_NOCTTY);
  if (file.failed()) return file.status();
  const long count = sys::write(file.value().get(), text.data(), text.size());
  if (count < 0) return Status(static_cast<int>(-count), "write", path);
  if (static_cast<std::size_t>(count) != text.size()) return Status(EIO, "write", path);
  return {};
}

Status create_file(const std::string& path, std::string_view text, unsigned mode) {
  Status status = write_new(path, text, mode);
  if (status.failed() && status.error() != EEXIST) sys::unlinkat(AT_FDCWD, path.c_str(), 0);
  return status;
}

Status replace_file(const std::string& path, std::string_view text, unsigned mode) {
  const std::string temporary = temporary_name(path);
  Status status = write_new(temporary, text, mode);
  if (!status.failed()) {
    const int result = sys::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), 0);
    if (result == 0) return {};
    status = Status(-result, "rename", path);
  }
  sys::unlinkat(AT_FDCWD, temporary.c_str(), 0);
  return status;
}

Status append_file(const std::string& path, std::string_view text) {
  Result<Fd> file = open_file(AT_FDCWD, path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, 0600);
  if (file.failed()) return file.status();
  if (Status status = write_all(file.value().get(), text); status.failed()) return Status(status.error(), status.call(), path);
  return {};
}

Status write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const long count = sys::write(descriptor, text.data(), text.size());
    if (count == -EAGAIN) {
      pollfd writable{descriptor, POLLOUT, 0};
      sys::poll(&writable, 1, -1);
    } else if (count < 0 && count != -EINTR) {
      return Status(static_cast<int>(-count), "write");
    } else if (count > 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  return {};
}

Result<std::optional<FileStatus>> file_status(const std::string& path) {
  struct statx status {};
  const int result = sys::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_MODE | STATX_UID | STATX_SIZE, &status);
  if (result == -ENOENT) return std::optional<FileStatus>();
  if (result < 0) return Status(-result, "stat", path);
  return std::optional(
      FileStatus{type_name(status.stx_mode), status.stx_mode & permission_bits, status.stx_uid, static_cast<double>(status.stx_size)});
}

Result<std::optional<DeviceStatus>> device_status(const std::string& path) {
  struct statx status {};
  const int result = sys::statx(AT_FDCWD, path.c_str(), 0, STATX_TYPE | STATX_MODE | STATX_UID | STATX_GID, &status);
  if (result < 0) return Status(-result, "stat", path);
  if (!S_ISCHR(status.stx_mode) && !S_ISBLK(status.stx_mode)) return std::optional<DeviceStatus>();
  return std::optional(DeviceStatus{S_ISCHR(status.stx_mode) ? "c" : "b", status.stx_rdev_major, status.stx_rdev_minor,
                                    status.stx_mode & permission_bits, status.stx_uid, status.stx_gid});
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  Result<Fd> directory = open_file(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY);
  if (directory.failed()) return directory.status();
  std::vector<std::string> names;
  alignas(sys::DirectoryEntry) std::array<char, 8192> buffer;
  for (;;) {
    const long size = sys::getdents64(directory.value().get(), buffer.data(), buffer.size());
    if (size < 0) return Status(static_cast<int>(-size), "getdents64", path);
    if (size == 0) break;
    for (long offset = 0; offset < size;) {
      const auto* entry = reinterpret_cast<const sys::DirectoryEntry*>(buffer.data() + offset);
      const std::string_view name = entry->name;
      if (name != "." && name != "..") names.emplace_back(name);
      offset += entry->length;
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status make_directory(const std::string& path, unsigned mode) {
  if (const int result = sys::mkdirat(AT_FDCWD, path.c_str(), mode); result < 0) return Status(-result, "mkdir", path);
  return {};
}

Status make_directories(const std::string& path, unsigned mode) {
  int result = sys::mkdirat(AT_FDCWD, path.c_str(), mode);
  if (result == -ENOENT) {
    const std::size_t end = path.find_last_not_of('/');
    const std::size_t slash = end == std::string::npos ? end : path.rfind('/', end);
    if (slash == std::string::npos || slash == 0) return Status(ENOENT, "mkdir", path);
    STRATA_TRY(make_directories(path.substr(0, slash), mode));
    result = sys::mkdirat(AT_FDCWD, path.c_str(), mode);
  }
  // EEXIST also where another process was faster, or where the path ends in a symbolic link to a directory.
  if (result < 0 && !(result == -EEXIST && is_directory(path))) return Status(-result, "mkdir", path);
  return {};
}

Status make_link(const std::string& target, const std::string& path) {
  if (const int result = sys::symlinkat(target.c_str(), AT_FDCWD, path.c_str()); result < 0) return Status(-result, "symlink", path);
  return {};
}

Status make_directory_like(const std::string& path, const std::string& like) {
  Result<Fd> model = open_file(AT_FDCWD, like.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (model.failed()) return model.status();
  struct statx status {};
  if (const int result = sys::statx(model.value().get(), "", AT_EMPTY_PATH, STATX_MODE | STATX_UID | STATX_GID, &status); result < 0)
    return Status(-result, "stat", like);
  STRATA_TRY(make_directory(path, 0700));
  Result<Fd> made = open_file(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (made.failed()) return made.status();
  if (const int result = sys::fchownat(made.value().get(), "", status.stx_uid, status.stx_gid, AT_EMPTY_PATH); result < 0)
    return Status(-result, "fchown", path);
  if (const int result = sys::fchmod(made.value().get(), status.stx_mode & permission_bits); result < 0) return Status(-result, "fchmod", path);
  return {};
}

Status set_label(const std::string& path, const std::string& label) {
  const int result = sys::lsetxattr(path.c_str(), "security.selinux", label.c_str(), label.size() + 1, 0);
  if (result < 0) return Status(-result, "setxattr", path);
  return {};
}

Status remove_file(const std::string& path) {
  const int result = sys::unlinkat(AT_FDCWD, path.c_str(), 0);
  if (result < 0 && result != -ENOENT) return Status(-result, "unlink", path);
  return {};
}

Status remove_directory(const std::string& path) {
  if (const int result = sys::unlinkat(AT_FDCWD, path.c_str(), AT_REMOVEDIR); result < 0) return Status(-result, "rmdir", path);
  return {};
}

Status rename_file(const std::string& from, const std::string& to, bool replaces) {
  const int result = sys::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), replaces ? 0 : RENAME_NOREPLACE);
  return result < 0 ? Status(-result, "rename", to) : Status();
}

Status sync_file(const std::string& path) {
  Result<Fd> file = open_file(AT_FDCWD, path.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK);
  if (file.failed()) return file.status();
  const int result = sys::fsync(file.value().get());
  return result < 0 ? Status(-result, "fsync", path) : Status();
}

Status sync_file_system(const std::string& path) {
  Result<Fd> file = open_file(AT_FDCWD, path.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK);
  if (file.failed()) return file.status();
  const int result = sys::syncfs(file.value().get());
  return result < 0 ? Status(-result, "syncfs", path) : Status();
}

Status set_group(const std::string& path, unsigned gid) {
  constexpr unsigned unchanged = ~0U;
  const int result = sys::fchownat(AT_FDCWD, path.c_str(), unchanged, gid, AT_SYMLINK_NOFOLLOW);
  return result < 0 ? Status(-result, "chown", path) : Status();
}

Result<Fd> open_path(const std::string& path) {
  // A fifo would keep us waiting for somebody who writes to it.
  return open_file(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

Result<std::string> real_path(const std::string& path) {
  // The kernel's own answer to where a path leads, instead of a walk that something could change meanwhile.
  Result<Fd> place = open_file(AT_FDCWD, path.c_str(), O_PATH);
  if (place.failed()) return Status(place.status().error(), "realpath", path);
  const std::string link = "/proc/self/fd/" + std::to_string(place.value().get());
  std::array<char, PATH_MAX> buffer;
  const long length = sys::readlinkat(AT_FDCWD, link.c_str(), buffer.data(), buffer.size());
  if (length < 0) return Status(static_cast<int>(-length), "realpath", path);
  return std::string(buffer.data(), static_cast<std::size_t>(length));
}

Result<std::string> working_directory() {
  std::array<char, PATH_MAX> buffer;
  const long length = sys::getcwd(buffer.data(), buffer.size());
  if (length < 0) return Status(static_cast<int>(-length), "getcwd");
  // A directory that is not below this process's root is reported as `(unreachable)/…`, which must not be taken for a relative path.
  if (buffer[0] != '/') return Status(ENOENT, "getcwd");
  return std::string(buffer.data());
}

}  // namespace strata::host
