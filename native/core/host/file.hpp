// The runtime's own files: configurations, state, kernel files, logs. All paths are the host's; nothing here may be pointed below a
// container's root (that is path.hpp's business).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

struct FileStatus {
  const char* type = "";  // file, directory, symlink, socket, character, block, fifo
  unsigned mode = 0;      // permission bits with setuid, setgid and sticky
  unsigned uid = 0;
  double size = 0;  // in bytes: exact up to 2^53
};

// A device node, wherever a name of it leads.
struct DeviceStatus {
  const char* type = "";  // c, b
  unsigned major = 0;
  unsigned minor = 0;
  unsigned mode = 0;  // permission bits
  unsigned uid = 0;
  unsigned gid = 0;
};

// A whole file. Reads to the end whatever size it claims, since kernel files claim 0. EFBIG beyond `limit` bytes, EILSEQ if not UTF-8.
Result<std::string> read_text(const std::string& path, std::size_t limit);
// The same of a descriptor, from where it stands; waits where it is a pipe that is still written to.
Result<std::string> read_all(int descriptor, std::size_t limit);
// A file relative to a directory, without the check for UTF-8.
Result<std::string> read_file_at(int directory, const char* path, std::size_t limit);
// One write(2) to a file that exists: a kernel file takes each write as one request.
Status write_text(const std::string& path, std::string_view text);
// A file that is not there yet (EEXIST), in a directory that nobody else looks into; `mode` is exact, whatever the umask.
Status create_file(const std::string& path, std::string_view text, unsigned mode);
// Through a temporary name in the same directory and rename(2); `mode` is exact, whatever the umask.
Status replace_file(const std::string& path, std::string_view text, unsigned mode);
// Append, making the file with mode 0600 if it is missing.
Status append_file(const std::string& path, std::string_view text);
// All of `text`, waiting where a descriptor is non-blocking and full. SIGPIPE is the process's to ignore.
Status write_all(int descriptor, std::string_view text);

// Does not follow a final symbolic link; no value when nothing is there.
Result<std::optional<FileStatus>> file_status(const std::string& path);
// Follows symbolic links; no value for what is no device.
Result<std::optional<DeviceStatus>> device_status(const std::string& path);
// Names in a directory, without `.` and `..`, sorted.
Result<std::vector<std::string>> list_directory(const std::string& path);
Status make_directory(const std::string& path, unsigned mode);
// mkdir -p; directories that exist are left as they are.
Status make_directories(const std::string& path, unsigned mode);
// A new directory with the owner and the permissions of `like`, whatever the umask; neither is followed if it is a symbolic link.
Status make_directory_like(const std::string& path, const std::string& like);
// Gives a file or directory an SELinux label, with the NUL at its end that the kernel's own have.
Status set_label(const std::string& path, const std::string& label);
// symlink(2).
Status make_link(const std::string& target, const std::string& path);
// unlink(2); nothing there is no failure.
Status remove_file(const std::string& path);
Status remove_directory(const std::string& path);
// rename(2); EEXIST where something has the new name already, unless it is to be replaced.
Status rename_file(const std::string& from, const std::string& to, bool replaces);
// fsync(2) of a file, or of a directory and so of the names in it.
Status sync_file(const std::string& path);
// syncfs(2): everything that was written to the file system that `path` is on.
Status sync_file_system(const std::string& path);
// chown(2) of the group alone; a symbolic link itself.
Status set_group(const std::string& path, unsigned gid);
// A file or directory, to be read or handed on.
Result<Fd> open_path(const std::string& path);
// As realpath(3): absolute, without symbolic links.
Result<std::string> real_path(const std::string& path);
Result<std::string> working_directory();

// O_CLOEXEC is added.
Result<Fd> open_file(int directory, const char* path, int flags, unsigned mode = 0);

}  // namespace strata::host
