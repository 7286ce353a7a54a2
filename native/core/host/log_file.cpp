#include "log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <cerrno>

#include <linux/stat.h>

#include "file.hpp"
#include "utf8.hpp"

namespace strata::host {

Result<Fd> open_log(const std::string& path) {
  Result<Fd> file = open_file(AT_FDCWD, path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  return file.failed() && file.status().error() == ENOENT ? Result<Fd>(Fd()) : std::move(file);
}

Result<bool> is_file_at(int descriptor, const std::string& path) {
  struct statx open {};
  struct statx named {};
  if (const int result = sys::statx(descriptor, "", AT_EMPTY_PATH, STATX_INO, &open); result < 0) return Status(-result, "stat", path);
  const int result = sys::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_INO, &named);
  if (result == -ENOENT) return false;
  if (result < 0) return Status(-result, "stat", path);
  return open.stx_ino == named.stx_ino && open.stx_dev_major == named.stx_dev_major && open.stx_dev_minor == named.stx_dev_minor;
}

Result<Lines> read_lines(int descriptor, std::uint64_t offset, std::size_t limit) {
  constexpr std::size_t piece = 64 * 1024;
  std::string text;
  std::size_t size = 0;
  while (size < limit) {
    text.resize(size + std::min(limit - size, piece));
    const long count = sys::pread(descriptor, text.data() + size, text.size() - size, static_cast<std::int64_t>(offset + size));
    if (count == -EINTR) continue;
    if (count < 0) return Status(static_cast<int>(-count), "read");
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  const std::size_t end = std::string_view(text.data(), size).rfind('\n');
  if (end == std::string_view::npos && size == limit) return Status(EFBIG, "read");
  const std::size_t whole = end == std::string_view::npos ? 0 : end + 1;
  return Lines{as_utf8({text.data(), whole}), offset + whole};
}

Result<LastLines> last_lines(int descriptor, int count) {
  std::array<char, 16384> block;
  LastLines last;
  std::int64_t end = sys::lseek(descriptor, 0, SEEK_END);
  if (end < 0) return Status(static_cast<int>(-end), "lseek");
  last.offset = static_cast<std::uint64_t>(count == 0 ? end : 0);
  if (count == 0) return last;
  std::int64_t begin = end;
  // The newline that ends the last line begins none.
  bool is_last = true;
  while (begin > 0) {
    const std::int64_t size = std::min<std::int64_t>(begin, block.size());
    begin -= size;
    const long read = sys::pread(descriptor, block.data(), static_cast<std::size_t>(size), begin);
    if (read < 0) return Status(static_cast<int>(-read), "read");
    if (read < size) break;  // it has been cut short
    for (long at = read; at-- > 0;) {
      if (block[static_cast<std::size_t>(at)] == '\n' && !is_last && ++last.found == count) {
        last.offset = static_cast<std::uint64_t>(begin + at + 1);
        return last;
      }
      is_last = false;
    }
  }
  if (end > 0) last.found++;
  return last;
}

}  // namespace strata::host
