#include "path.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <cerrno>

#include <linux/openat2.h>
#include <linux/stat.h>

#include "text.hpp"

namespace strata {
namespace {

constexpr std::size_t path_limit = 4096;
constexpr std::size_t name_limit = 255;
constexpr int link_limit = 40;  // as the kernel's MAXSYMLINKS
constexpr long proc_super_magic = 0x9fa0;

int try_openat2(int root, const char* path, int flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = resolve;
  int result;
  // EAGAIN: something was renamed on the way and ".." could not be proven safe; the kernel asks for another try.
  for (int attempt = 0; (result = sys::openat2(root, path, &how, sizeof how)) == -EAGAIN && attempt < 128; attempt++) {
  }
  return result;
}

int mode_of(int fd, unsigned& ret_mode) {
  struct statx status {};
  const int result = sys::statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_MODE, &status);
  ret_mode = status.stx_mode;
  return result;
}

// Walks a path component by component below a root. Symbolic links are expanded as text and never followed by the kernel.
class Walk {
 public:
  Walk(int root, bool create, Links links) : root_(root), create_(create), links_(links) {}

  // On success `directory` holds the parent of the last component and `name` that component ("" when the path is the root itself).
  int parent(std::string_view path) {
    if (path.size() >= path_limit) return -ENAMETOOLONG;
    std::memcpy(rest_, path.data(), path.size());
    rest_[path.size()] = '\0';
    if (const int error = restart(); error < 0) return error;
    for (;;) {
      if (const int component_size = next_component(); component_size <= 0) return component_size;
      const std::string_view component = name_.view();
      if (component == ".") continue;
      if (component == "..") {
        if (const int error = leave(); error < 0) return error;
        continue;
      }
      const bool last = only_slashes_left();
      Fd entry(sys::openat(directory_.get(), name_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
      if (!entry.valid()) {
        const int error = entry.get();
        (void)entry.release();
        if (last) return 0;
        if (error != -ENOENT || !create_) return error;
        if (const int made = sys::mkdirat(directory_.get(), name_.c_str(), 0755); made < 0 && made != -EEXIST) return made;
        entry = Fd(sys::openat(directory_.get(), name_.c_str(), O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC));
        if (!entry.valid()) return -ELOOP;
      }
      unsigned mode = 0;
      if (const int error = mode_of(entry.get(), mode); error < 0) return error;
      if (S_ISLNK(mode)) {
        if (last && links_ == Links::not_last) return 0;
        if (const int error = expand(entry.get()); error < 0) return error;
        continue;
      }
      if (last) return 0;
      if (!S_ISDIR(mode)) return -ENOTDIR;
      if (const int error = enter(std::move(entry), component); error < 0) return error;
    }
  }

  [[nodiscard]] int directory() const { return directory_.get(); }
  [[nodiscard]] Fd take_directory() { return std::move(directory_); }
  // "" when the path ends in the directory itself.
  [[nodiscard]] const FixedText<256>& name() const { return name_; }

 private:
  int restart() {
    walked_[0] = '\0';
    walked_size_ = 0;
    directory_ = Fd(sys::openat(root_, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    return directory_.valid() ? 0 : directory_.release();
  }

  // Moves the next component of `rest_` to `name_` and returns its length, 0 at the end.
  int next_component() {
    const char* start = rest_ + at_;
    while (*start == '/') start++;
    const char* end = start;
    while (*end != '\0' && *end != '/') end++;
    const auto size = static_cast<std::size_t>(end - start);
    if (size > name_limit) return -ENAMETOOLONG;
    name_.assign({start, size});
    at_ = static_cast<std::size_t>(end - rest_);
    return static_cast<int>(size);
  }

  [[nodiscard]] bool only_slashes_left() const {
    const char* at = rest_ + at_;
    while (*at == '/') at++;
    return *at == '\0';
  }

  int enter(Fd entry, std::string_view component) {
    if (walked_size_ + component.size() + 2 > path_limit) return -ENAMETOOLONG;
    walked_[walked_size_++] = '/';
    std::memcpy(walked_ + walked_size_, component.data(), component.size());
    walked_size_ += component.size();
    walked_[walked_size_] = '\0';
    directory_ = std::move(entry);
    return 0;
  }

  // "..": the walked path holds no links, so its parent is its text without the last component, walked anew from the root. Asking the
  // kernel for ".." instead would leave the root if the directory had been moved out of it meanwhile.
  int leave() {
    while (walked_size_ > 0 && walked_[walked_size_ - 1] != '/') walked_size_--;
    if (walked_size_ > 0) walked_size_--;
    walked_[walked_size_] = '\0';
    Fd directory(sys::openat(root_, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    const char* at = walked_;
    while (*at != '\0') {
      while (*at == '/') at++;
      const char* end = at;
      while (*end != '\0' && *end != '/') end++;
      const FixedText<256> component({at, static_cast<std::size_t>(end - at)});
      directory = Fd(sys::openat(directory.get(), component.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!directory.valid()) return directory.release();
      at = end;
    }
    directory_ = std::move(directory);
    return 0;
  }

  // Puts the target of a symbolic link in front of what is left of the path.
  int expand(int link) {
    if (links_ == Links::refuse || ++links_followed_ > link_limit) return -ELOOP;
    struct statfs file_system {};
    // Links of procfs may be magic: their text is not where they lead. None is needed here.
    if (sys::fstatfs(link, &file_system) < 0 || file_system.f_type == proc_super_magic) return -ELOOP;
    char target[path_limit];
    const long size = sys::readlinkat(link, "", target, sizeof target);
    if (size < 0) return static_cast<int>(size);
    const std::size_t left = std::strlen(rest_ + at_);
    const auto length = static_cast<std::size_t>(size);
    if (length + left + 1 > path_limit) return -ENAMETOOLONG;
    std::memmove(rest_ + length, rest_ + at_, left + 1);
    std::memcpy(rest_, target, length);
    at_ = 0;
    return target[0] == '/' ? restart() : 0;
  }

  int root_;
  bool create_;
  Links links_;
  Fd directory_;
  FixedText<256> name_;
  char rest_[path_limit];
  std::size_t at_ = 0;
  char walked_[path_limit];
  std::size_t walked_size_ = 0;
  int links_followed_ = 0;
};

// What stands behind the last "/"; empty for a path that ends in one, or in a dot component, which only the walk resolves. A NUL follows.
std::string_view last_component(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : tail(path, slash + 1);
  return name == "." || name == ".." || name.size() > name_limit ? std::string_view() : name;
}

// The short way to a parent that exists: one call instead of a walk. Invalid when it takes the walk after all.
Fd open_parent(int root, std::string_view path, Links links) {
  const std::string_view name = last_component(path);
  if (name.empty()) return {};
  Result<Fd> parent = open_in_root(root, head(path, path.size() - name.size()), O_PATH | O_DIRECTORY, links);
  return parent.failed() ? Fd() : std::move(parent.value());
}

// Makes `name`, which must not exist yet.
int make_entry(int directory, const char* name, Make kind, unsigned mode) {
  if (kind == Make::directory) return sys::mkdirat(directory, name, mode);
  const int made = sys::openat(directory, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode);
  if (made >= 0) sys::close(made);
  return made < 0 ? made : 0;
}

}  // namespace

Result<Fd> open_in_root(int root, std::string_view path, int flags, Links links) {
  char text[path_limit];
  if (path.size() >= sizeof text) return Status(ENAMETOOLONG, "openat2", path);
  std::memcpy(text, path.data(), path.size());
  text[path.size()] = '\0';
  std::uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  if (links == Links::refuse) resolve |= RESOLVE_NO_SYMLINKS;
  if (links == Links::not_last) flags |= O_NOFOLLOW;
  int result = try_openat2(root, text[0] == '\0' ? "/" : text, flags, resolve);
  if (result == -ENOSYS || result == -EPERM) {
    // A kernel before 5.6, or a seccomp filter around us that does not know the call.
    Walk walk(root, false, links);
    if (const int error = walk.parent(path); error < 0) return Status(-error, "openat", path);
    const char* name = walk.name().view().empty() ? "." : walk.name().c_str();
    result = sys::openat(walk.directory(), name, flags | O_NOFOLLOW | O_CLOEXEC);
  }
  if (result < 0) return Status(-result, "openat2", path);
  return Fd(result);
}

Result<Fd> make_in_root(int root, std::string_view path, Make kind, unsigned mode, Links links, bool* ret_existed) {
  Result<Fd> existing = open_in_root(root, path, O_PATH, links);
  if (ret_existed != nullptr) *ret_existed = !existing.failed();
  if (!existing.failed() || existing.status().error() != ENOENT) return existing;
  if (Fd parent = open_parent(root, path, links); parent.valid()) {
    const std::string_view name = last_component(path);
    if (make_entry(parent.get(), name.data(), kind, mode) >= 0) {
      const int opened = sys::openat(parent.get(), name.data(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
      if (opened >= 0) return Fd(opened);
    }
  }
  Walk walk(root, true, links);
  if (const int error = walk.parent(path); error < 0) return Status(-error, "mkdirat", path);
  const char* name = walk.name().c_str();
  if (*name != '\0') {
    const int made = make_entry(walk.directory(), name, kind, mode);
    if (made < 0 && made != -EEXIST) return Status(-made, kind == Make::directory ? "mkdirat" : "openat", path);
  }
  const int opened = sys::openat(walk.directory(), *name == '\0' ? "." : name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (opened < 0) return Status(-opened, "openat", path);
  return Fd(opened);
}

Result<Fd> make_parent_in_root(int root, std::string_view path, FixedText<256>& ret_name) {
  if (Fd parent = open_parent(root, path, Links::follow); parent.valid()) {
    ret_name.assign(last_component(path));
    return parent;
  }
  Walk walk(root, true, Links::not_last);
  if (const int error = walk.parent(path); error < 0) return Status(-error, "openat", path);
  if (walk.name().view().empty()) return Status(EEXIST, "openat", path);
  ret_name = walk.name();
  return walk.take_directory();
}

Result<Fd> open_proc() {
  Fd proc(sys::openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!proc.valid()) return Status(-proc.release(), "open", "/proc");
  struct statfs file_system {};
  struct statx status {};
  constexpr std::uint64_t proc_root_inode = 1;
  if (sys::fstatfs(proc.get(), &file_system) < 0 || file_system.f_type != proc_super_magic ||
      sys::statx(proc.get(), "", AT_EMPTY_PATH, STATX_INO, &status) < 0 || status.stx_ino != proc_root_inode) {
    return Status::with_detail("fstatfs", "/proc", "is not the root of a proc file system", ENODEV);
  }
  return proc;
}

Status write_proc(int proc, const char* path, std::string_view value) {
  const auto failure = [path](int error, const char* call) {
    TextBuilder<256> whole;
    whole.add("/proc/").add(path);
    return Status(error, call, whole.view());
  };
  // Nothing may be mounted over the file, and no link may lead elsewhere: a label or sysctl written to a look-alike would silently be lost.
  const int opened = try_openat2(proc, path, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
  if (opened < 0) return failure(-opened, "openat2");
  const Fd file(opened);
  const long written = sys::write(file.get(), value.data(), value.size());
  if (written < 0) return failure(static_cast<int>(-written), "write");
  if (static_cast<std::size_t>(written) != value.size()) return failure(EIO, "write");
  return {};
}

}  // namespace strata
