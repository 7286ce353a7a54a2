#include "cgroup.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <set>
#include <span>
#include <string_view>

#include "../fd.hpp"
#include "file.hpp"

namespace strata::host {
namespace {

constexpr std::size_t procs_limit = 64 << 20;
// So many pidfds are open at a time: strata has to work with 64 descriptors.
constexpr std::size_t batch_size = 16;
constexpr const char* marker = "trusted.strata";

bool is_gone(int error) { return error == ENOENT || error == ENODEV; }

// A position in a cgroup hierarchy that moves by names and `..`. A container can nest cgroups deeper than there are descriptors, and deeper
// than a path can be long, so neither one descriptor for each level nor paths would do.
class Cursor {
 public:
  static Result<Cursor> open(const std::string& directory) {
    Result<Fd> top = open_file(AT_FDCWD, directory.c_str(), O_RDONLY | O_DIRECTORY);
    if (top.failed()) return top.status();
    Cursor cursor;
    cursor.current_ = std::move(top.value());
    return cursor;
  }

  [[nodiscard]] int descriptor() const { return current_.get(); }
  [[nodiscard]] bool at_top() const { return names_.empty(); }
  [[nodiscard]] const std::string& name() const { return names_.back(); }

  Status enter(const std::string& name) {
    Result<Fd> child = open_file(current_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (child.failed()) return child.status();
    current_ = std::move(child.value());
    names_.push_back(name);
    return {};
  }

  Status leave() {
    Result<Fd> parent = open_file(current_.get(), "..", O_RDONLY | O_DIRECTORY);
    if (parent.failed()) return parent.status();
    current_ = std::move(parent.value());
    names_.pop_back();
    return {};
  }

 private:
  Fd current_;
  std::vector<std::string> names_;
};

// The sub-cgroups of a directory.
Result<std::vector<std::string>> children(int directory) {
  // A descriptor of its own: the reading position belongs to the open file.
  Result<Fd> listing = open_file(directory, ".", O_RDONLY | O_DIRECTORY);
  if (listing.failed()) return listing.status();
  std::vector<std::string> names;
  alignas(sys::DirectoryEntry) std::array<char, 8192> buffer;
  for (;;) {
    const long size = sys::getdents64(listing.value().get(), buffer.data(), buffer.size());
    if (size < 0) return Status(static_cast<int>(-size), "getdents64");
    if (size == 0) return names;
    for (long offset = 0; offset < size;) {
      const auto* entry = reinterpret_cast<const sys::DirectoryEntry*>(buffer.data() + offset);
      const std::string_view name = entry->name;
      if (entry->type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
      offset += entry->length;
    }
  }
}

Result<std::vector<int>> processes(int directory) {
  std::vector<int> pids;
  Result<std::string> text = read_file_at(directory, "cgroup.procs", procs_limit);
  if (text.failed()) {
    // EOPNOTSUPP: a threaded cgroup (cgroup v2); its processes are listed by the domain above it.
    if (is_gone(text.status().error()) || text.status().error() == EOPNOTSUPP) return pids;
    return text.status();
  }
  const char* at = text.value().data();
  const char* end = at + text.value().size();
  while (at < end) {
    int pid = 0;
    at = std::from_chars(at, end, pid).ptr + 1;
    if (pid > 0) pids.push_back(pid);  // 0: a process that this pid namespace cannot see
  }
  return pids;
}

// Signals processes of one cgroup. Each pid is first pinned by a pidfd; if the cgroup lists it still, the pidfd is the process that was meant.
Result<int> signal_batch(int directory, std::span<const int> pids, int signal) {
  std::vector<std::pair<int, Fd>> pinned;
  for (const int pid : pids) {
    const int pidfd = sys::pidfd_open(pid, 0);
    if (pidfd >= 0) {
      pinned.emplace_back(pid, Fd(pidfd));
    } else if (pidfd != -ESRCH && pidfd != -EINVAL && pidfd != -ENOENT) {
      return Status(-pidfd, "pidfd_open", std::to_string(pid));
    }
  }
  Result<std::vector<int>> current = processes(directory);
  if (current.failed()) return current.status();
  std::sort(current.value().begin(), current.value().end());
  int count = 0;
  for (const auto& [pid, pidfd] : pinned) {
    if (!std::binary_search(current.value().begin(), current.value().end(), pid)) continue;
    const int result = sys::pidfd_send_signal(pidfd.get(), signal, nullptr, 0);
    if (result == 0) count++;
    if (result < 0 && result != -ESRCH) return Status(-result, "pidfd_send_signal", std::to_string(pid));
  }
  return count;
}

Result<int> signal_here(int directory, std::set<int>& seen, int signal) {
  Result<std::vector<int>> listed = processes(directory);
  if (listed.failed()) return listed.status();
  std::vector<int> fresh;
  for (const int pid : listed.value()) {
    if (seen.insert(pid).second) fresh.push_back(pid);
  }
  int count = 0;
  for (std::size_t at = 0; at < fresh.size(); at += batch_size) {
    const std::size_t size = std::min(batch_size, fresh.size() - at);
    Result<int> signalled = signal_batch(directory, std::span(fresh).subspan(at, size), signal);
    if (signalled.failed()) return signalled;
    count += signalled.value();
  }
  return count;
}

Result<int> signal_tree(const std::string& directory, std::set<int>& seen, int signal) {
  Result<Cursor> opened = Cursor::open(directory);
  if (opened.failed()) return is_gone(opened.status().error()) ? Result<int>(0) : opened.status();
  Cursor& cursor = opened.value();
  // For each level from the top, the sub-cgroups that are still to be visited.
  std::vector<std::vector<std::string>> waiting;
  int count = 0;
  bool arrived = true;
  for (;;) {
    if (arrived) {
      Result<int> here = signal_here(cursor.descriptor(), seen, signal);
      if (here.failed()) return Status(here.status().error(), here.status().call(), directory);
      count += here.value();
      Result<std::vector<std::string>> below = children(cursor.descriptor());
      if (below.failed() && !is_gone(below.status().error())) return Status(below.status().error(), below.status().call(), directory);
      waiting.push_back(std::move(below.value()));
    }
    if (waiting.back().empty()) {
      waiting.pop_back();
      if (waiting.empty()) return count;
      STRATA_TRY(cursor.leave());
      arrived = false;
      continue;
    }
    const Status status = cursor.enter(waiting.back().back());
    waiting.back().pop_back();
    if (status.failed() && !is_gone(status.error())) return status;
    arrived = !status.failed();
  }
}

// rmdir(2) that waits while the kernel still counts processes in the cgroup. EBUSY is also its answer to sub-cgroups.
class Remover {
 public:
  explicit Remover(int timeout) : deadline_(sys::monotonic_ms() + timeout) {}

  Status remove_tree(const std::string& directory) {
    const int result = remove_once(AT_FDCWD, directory.c_str());
    if (result == 0) return {};
    if (result != -EBUSY) return Status(-result, "rmdir", directory);
    Status status = remove_below(directory);
    if (status.failed()) return Status(status.error(), status.call(), directory);
    return remove(AT_FDCWD, directory.c_str(), directory);
  }

 private:
  static int remove_once(int directory, const char* name) {
    const int result = sys::unlinkat(directory, name, AT_REMOVEDIR);
    return is_gone(-result) ? 0 : result;
  }

  Status remove(int directory, const char* name, const std::string& path) const {
    constexpr std::int64_t first_pause = 50;  // microseconds; a dying process mostly needs no more
    constexpr std::int64_t last_pause = 20000;
    std::int64_t pause = first_pause;
    for (;;) {
      const int result = remove_once(directory, name);
      if (result == 0) return {};
      if (result != -EBUSY || sys::monotonic_ms() >= deadline_) return Status(-result, "rmdir", path);
      sys::nanosleep_us(pause);
      pause = std::min(pause * 2, last_pause);
    }
  }

  // Everything below `directory`, deepest first.
  Status remove_below(const std::string& directory) const {
    Result<Cursor> opened = Cursor::open(directory);
    if (opened.failed()) return is_gone(opened.status().error()) ? Status() : opened.status();
    Cursor& cursor = opened.value();
    for (;;) {
      Result<std::vector<std::string>> below = children(cursor.descriptor());
      if (below.failed() && !is_gone(below.status().error())) return below.status();
      std::vector<std::string>& names = below.value();
      // Those without sub-cgroups of their own go at once; into one that does not, descend.
      while (!names.empty() && remove_once(cursor.descriptor(), names.back().c_str()) == 0) names.pop_back();
      if (!names.empty()) {
        Result<bool> descend = has_children(cursor, names.back());
        if (descend.failed()) return descend.status();
        if (descend.value()) {
          STRATA_TRY(cursor.enter(names.back()));
        } else {
          STRATA_TRY(remove(cursor.descriptor(), names.back().c_str(), directory));
        }
      } else if (cursor.at_top()) {
        return {};
      } else {
        STRATA_TRY(cursor.leave());
      }
    }
  }

  static Result<bool> has_children(const Cursor& cursor, const std::string& name) {
    Result<Fd> child = open_file(cursor.descriptor(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (child.failed()) return is_gone(child.status().error()) ? Result<bool>(false) : child.status();
    Result<std::vector<std::string>> below = children(child.value().get());
    if (below.failed()) return is_gone(below.status().error()) ? Result<bool>(false) : below.status();
    return !below.value().empty();
  }

  std::int64_t deadline_;
};

bool is_marked(const std::string& directory) { return sys::getxattr(directory.c_str(), marker, nullptr, 0) >= 0; }

// `path` with single slashes and without any at the ends; empty if a component is `.` or `..`.
std::string normal(std::string_view path) {
  std::string result;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view component = path.substr(0, slash);
    if (component == "." || component == "..") return {};
    if (!component.empty()) result.append(result.empty() ? "" : "/").append(component);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return result;
}

// Kills all processes at and below a v2 cgroup at once, those too that are just being born. False where that cannot be: before Linux 5.14, on v1, in
// a threaded cgroup.
bool kill_tree(const std::string& directory) {
  const Fd file(sys::openat(AT_FDCWD, (directory + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
  return file.valid() && sys::write(file.get(), "1", 1) == 1;
}

Result<int> signal_or_kill_tree(const std::string& directory, std::set<int>& seen, int signal) {
  if (signal != SIGKILL || sys::faccessat(AT_FDCWD, (directory + "/cgroup.kill").c_str(), W_OK) < 0) return signal_tree(directory, seen, signal);
  // Who they were is not told, so they are counted before.
  std::set<int> before = seen;
  Result<int> there = signal_tree(directory, before, 0);
  if (there.failed() || there.value() == 0) return there;
  if (!kill_tree(directory)) return signal_tree(directory, seen, signal);
  seen = std::move(before);
  return there;
}

}  // namespace

Result<int> signal_cgroup(const std::vector<std::string>& directories, int signal) {
  std::set<int> seen;
  int count = 0;
  for (const std::string& directory : directories) {
    Result<int> signalled = signal_or_kill_tree(directory, seen, signal);
    if (signalled.failed()) return signalled;
    count += signalled.value();
  }
  return count;
}

namespace {

Status remove_cgroup(const std::string& hierarchy, const std::string& path, Remover& remover) {
  std::string relative = normal(path);
  if (relative.empty()) return Status(EINVAL, "rmdir", hierarchy + "/" + path);
  STRATA_TRY(remover.remove_tree(hierarchy + "/" + relative));
  for (std::size_t slash; (slash = relative.rfind('/')) != std::string::npos;) {
    relative.resize(slash);
    const std::string parent = hierarchy + "/" + relative;
    if (!is_marked(parent)) return {};
    const int result = sys::unlinkat(AT_FDCWD, parent.c_str(), AT_REMOVEDIR);
    // Another container lives there.
    if (result == -EBUSY || result == -ENOTEMPTY) return {};
    if (result < 0 && !is_gone(-result)) return Status(-result, "rmdir", parent);
  }
  return {};
}

bool is_busy(int error) { return error == EBUSY || error == ENOTEMPTY; }

}  // namespace

Status remove_cgroups(const std::vector<Cgroup>& cgroups, int timeout) {
  Remover remover(timeout);
  Status worst;
  for (const Cgroup& cgroup : cgroups) {
    const Status status = remove_cgroup(cgroup.hierarchy, cgroup.path, remover);
    if (status.failed() && (!worst.failed() || (is_busy(worst.error()) && !is_busy(status.error())))) worst = status;
  }
  return worst;
}

}  // namespace strata::host
