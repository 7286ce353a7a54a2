#include "lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <cerrno>

#include <linux/stat.h>

#include "file.hpp"

namespace strata::host {
namespace {

struct Identity {
  int error;  // negative errno
  std::uint64_t inode;
  std::uint32_t major;
  std::uint32_t minor;
};

Identity identify(int directory, const char* path, int flags) {
  struct statx status {};
  const int error = sys::statx(directory, path, flags, STATX_INO, &status);
  return {error, status.stx_ino, status.stx_dev_major, status.stx_dev_minor};
}

}  // namespace

Result<Fd> try_lock(const std::string& directory) { return try_lock_for(directory, false); }

Result<Fd> try_lock_for(const std::string& directory, bool shared) {
  Result<Fd> opened = open_file(AT_FDCWD, directory.c_str(), O_RDONLY | O_DIRECTORY);
  if (opened.failed()) return opened.status().error() == ENOENT ? Result<Fd>(Fd()) : opened.status();
  const int result = sys::flock(opened.value().get(), (shared ? LOCK_SH : LOCK_EX) | LOCK_NB);
  if (result == -EWOULDBLOCK) return Fd();
  if (result < 0) return Status(-result, "flock", directory);
  // Between open and flock its last holder may have removed the directory, and another may have made a new one of the same name: a lock on
  // the old inode guards nothing.
  const Identity locked = identify(opened.value().get(), "", AT_EMPTY_PATH);
  if (locked.error < 0) return Status(-locked.error, "stat", directory);
  const Identity named = identify(AT_FDCWD, directory.c_str(), 0);
  if (named.error < 0 && named.error != -ENOENT) return Status(-named.error, "stat", directory);
  const bool same = named.error == 0 && named.inode == locked.inode && named.major == locked.major && named.minor == locked.minor;
  return same ? std::move(opened) : Result<Fd>(Fd());
}

}  // namespace strata::host
