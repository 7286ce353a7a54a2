#include "beneath.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <cerrno>

#include <linux/stat.h>

#include "../path.hpp"
#include "file.hpp"

namespace strata::host {
namespace {

Result<unsigned> type_of(const Fd& place) {
  struct statx status {};
  const int result = sys::statx(place.get(), "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status);
  if (result < 0) return Status(-result, "stat");
  return status.stx_mode & S_IFMT;
}

// Whether the path is not there because of a link on the way that has nothing inside of the directory to lead to.
bool is_led_out(int root, const std::string& path) {
  for (std::size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    Result<Fd> itself = open_in_root(root, part, O_PATH | O_NOFOLLOW, Links::not_last);
    if (itself.failed()) return false;
    Result<unsigned> type = type_of(itself.value());
    if (type.failed()) return false;
    if (type.value() == S_IFLNK && open_in_root(root, part, O_PATH).failed()) return true;
    if (end == std::string::npos) return false;
  }
}

}  // namespace

Result<Fd> open_beneath(const std::string& directory, const std::string& path) {
  const std::string whole = directory + '/' + path;
  Result<Fd> root = open_file(AT_FDCWD, directory.c_str(), O_PATH | O_DIRECTORY);
  if (root.failed()) return root;
  Result<Fd> place = open_in_root(root.value().get(), path, O_PATH);
  if (place.failed()) {
    const int error = place.status().error();
    if (error != ENOENT && error != ENOTDIR) return Status(error, "open", whole);
    if (is_led_out(root.value().get(), path)) return Status::with_detail("open", whole, "a symbolic link leads out of the directory, or to nothing");
    return Fd();
  }
  Result<unsigned> type = type_of(place.value());
  if (type.failed()) return Status(type.status().error(), "stat", whole);
  if (type.value() != S_IFREG) return Status::with_detail("open", whole, "not a file");
  return open_file(AT_FDCWD, ("/proc/self/fd/" + std::to_string(place.value().get())).c_str(), O_RDONLY);
}

}  // namespace strata::host
