#include "pids.hpp"

#include <fcntl.h>
#include <cerrno>
#include <string_view>

#include "../text.hpp"
#include "file.hpp"

namespace strata::host {
namespace {

constexpr std::size_t cgroup_limit = std::size_t{1} << 20;
constexpr std::size_t mounts_limit = std::size_t{64} << 20;

// The text up to `separator`, which is taken off with it.
std::string_view next(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view part = head(rest, end);
  rest = end == std::string_view::npos ? std::string_view() : tail(rest, end + 1);
  return part;
}

bool lists(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    if (next(words, ',') == word) return true;
  }
  return false;
}

struct Membership {
  bool found = false;
  bool v1 = false;
  std::string_view path;
};

// Where we are ourselves. v1's hierarchy counts where it is there.
Membership membership(std::string_view text) {
  Membership unified;
  while (!text.empty()) {
    std::string_view line = next(text, '\n');
    const bool is_unified = next(line, ':') == "0";
    const std::string_view controllers = next(line, ':');
    if (lists(controllers, "pids")) return {true, true, line};
    if (is_unified) unified = {true, false, line};
  }
  return unified;
}

struct Mount {
  std::string_view root;
  std::string_view point;
};

// Is this line of mountinfo one of the hierarchy?
bool read_mount(std::string_view line, bool v1, Mount& ret_mount) {
  for (int field = 0; field < 3; field++) (void)next(line, ' ');
  ret_mount.root = next(line, ' ');
  ret_mount.point = next(line, ' ');
  const std::size_t dash = line.find(" - ");
  if (dash == std::string_view::npos) return false;
  line = tail(line, dash + 3);
  const std::string_view type = next(line, ' ');
  (void)next(line, ' ');
  return v1 ? type == "cgroup" && lists(line, "pids") : type == "cgroup2";
}

bool is_below(std::string_view path, std::string_view directory) {
  return head(path, directory.size()) == directory && head(tail(path, directory.size()), 1) == "/";
}

}  // namespace

Result<PidsFiles> find_pids_files(const std::vector<std::string>& entrances, const std::string& cgroup, const std::string& mounts) {
  const Membership own = membership(cgroup);
  for (std::string_view rest = mounts; own.found && !rest.empty();) {
    Mount mount;
    if (!read_mount(next(rest, '\n'), own.v1, mount)) continue;
    std::string_view path = own.path;
    if (mount.root != "/") {
      if (path != mount.root && !is_below(path, mount.root)) continue;
      path = tail(path, mount.root.size());
    }
    for (const std::string& entrance : entrances) {
      if (!is_below(entrance, mount.point)) continue;
      const std::string directory = std::string(mount.point) + (path == "/" ? "" : std::string(path));
      return PidsFiles{directory + (own.v1 ? "/tasks" : "/cgroup.procs"), entrance};
    }
  }
  return Status(ENOENT, "open", "pids.max");
}

Result<PidsFiles> find_pids_files(const std::vector<std::string>& entrances) {
  Result<std::string> cgroup = read_file_at(AT_FDCWD, "/proc/self/cgroup", cgroup_limit);
  if (cgroup.failed()) return cgroup.status();
  Result<std::string> mounts = read_file_at(AT_FDCWD, "/proc/self/mountinfo", mounts_limit);
  if (mounts.failed()) return mounts.status();
  return find_pids_files(entrances, cgroup.value(), mounts.value());
}

Status move_process(const std::string& file, int pid) { return write_text(file, std::to_string(pid)); }

}  // namespace strata::host
