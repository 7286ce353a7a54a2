#include "kernel.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <dirent.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/stat.h>

#include "core/sys.hpp"

namespace fuzz {

Kernel kernel;

void fault(const char* what) {
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

namespace {

constexpr int first_child = 5000;
constexpr std::size_t mapping_limit = std::size_t{1} << 26;

constexpr int errors[] = {EPERM,  ENOENT,    ESRCH, EINTR,  EIO,     E2BIG,  EBADF,   EAGAIN, ENOMEM,       EACCES,
                          EBUSY,  EEXIST,    EXDEV, ENODEV, ENOTDIR, EISDIR, EINVAL,  EMFILE, ENOSPC,       ENAMETOOLONG,
                          ENOSYS, ENOTEMPTY, ELOOP, ECHILD, EPIPE,   ERANGE, ENODATA, EROFS,  ECONNABORTED, EOPNOTSUPP};

}  // namespace

void Kernel::begin(const std::uint8_t* answers, std::size_t size, const char* default_peer) {
  at_ = answers;
  end_ = answers + size;
  descriptors_.clear();
  files_.clear();
  children_.clear();
  next_child_ = first_child;
  peer = default_peer;
  in_child = false;
  clock_us = 0;
  only_faults_ = false;
  kind_ = byte();
  child_first = (kind_ & 1) != 0;
  without_openat2 = (kind_ & 2) != 0;
  only_faults_ = (kind_ & 64) != 0;
  constexpr int deeper_than_any_limit = 200;
  constexpr int most_connections = 64;
  directories_left = populated() ? deeper_than_any_limit : 0;
  connections_left = most_connections;
  if (only_faults_) {
    const std::uint8_t* faults = at_;
    at_ = std::min(at_ + 8, end_);
    provide("/etc/passwd", {at_, end_});
    end_ = at_;
    at_ = faults;
    calls_before_fault_ = take();
  }
}

void Kernel::end() {
  for (const Mapping& mapping : mappings_) std::free(mapping.address);
  mappings_.clear();
}

int Kernel::file(const std::uint8_t* data, std::size_t size) {
  const int number = open(Kind::memory, "");
  Descriptor& descriptor = *find(number);
  descriptor.contents.assign(data, data + size);
  descriptor.has_contents = true;
  return number;
}

void Kernel::provide(std::string path, std::vector<std::uint8_t> contents) { files_[std::move(path)] = std::move(contents); }

std::size_t Kernel::open_descriptors() const {
  return static_cast<std::size_t>(
      std::count_if(descriptors_.begin(), descriptors_.end(), [](const Descriptor& descriptor) { return descriptor.kind != Kind::closed; }));
}

std::uint8_t Kernel::byte(std::uint8_t otherwise) { return exhausted() ? otherwise : take(); }

std::uint64_t Kernel::number(std::size_t size, std::uint64_t otherwise) {
  if (exhausted()) return otherwise;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; i++) value |= std::uint64_t{byte()} << (8 * i);
  return value;
}

std::vector<std::uint8_t> Kernel::bytes(std::size_t most) {
  if (exhausted()) return {};
  const std::size_t size = std::min({most, static_cast<std::size_t>(number(2, 0)), static_cast<std::size_t>(end_ - at_)});
  std::vector<std::uint8_t> result(at_, at_ + size);
  at_ += size;
  return result;
}

int Kernel::outcome() {
  constexpr std::uint8_t first_error = 200;
  std::uint8_t choice = 0;
  if (!only_faults_) {
    choice = byte();
  } else if (at_ != end_ && calls_before_fault_-- == 0) {
    choice = static_cast<std::uint8_t>(first_error + take() % std::size(errors));
    calls_before_fault_ = take();
  }
  return choice < first_error ? 0 : -errors[(choice - first_error) % std::size(errors)];
}

int Kernel::open(Kind kind, std::string path) {
  const auto file = files_.find(path);
  if (file == files_.end())
    descriptors_.push_back({kind, std::move(path), {}, false, 0});
  else
    descriptors_.push_back({kind, std::move(path), file->second, true, 0});
  return first_descriptor + static_cast<int>(descriptors_.size()) - 1;
}

int Kernel::open_real(const char* name) {
  const int number = memfd_create(name, MFD_CLOEXEC);
  real_.insert(number);
  return number;
}

Kernel::Descriptor* Kernel::find(int number) {
  const std::size_t index = static_cast<std::size_t>(number) - first_descriptor;
  return number < first_descriptor || index >= descriptors_.size() ? nullptr : &descriptors_[index];
}

int Kernel::close(int number) {
  if (real_.erase(number) != 0) return ::close(number);
  Descriptor* descriptor = find(number);
  if (descriptor == nullptr || in_child) return number < 0 ? -EBADF : 0;
  require(descriptor->kind != Kind::closed, "a descriptor is closed twice");
  descriptor->kind = Kind::closed;
  return 0;
}

int Kernel::fork() {
  children_.push_back(++next_child_);
  return next_child_;
}

int Kernel::pidfd_of(int child) {
  const int number = open(Kind::process, "");
  find(number)->child = child;
  return number;
}

void Kernel::reap(int child) { children_.erase(std::remove(children_.begin(), children_.end(), child), children_.end()); }

// Exactly as large as was asked for, so that the sanitizer sees the first byte that is read or written beyond.
void* Kernel::map(std::size_t size, const std::vector<std::uint8_t>* contents) {
  if (size == 0 || size > mapping_limit || outcome() < 0) return MAP_FAILED;
  void* memory = std::calloc(size, 1);
  if (memory == nullptr) return MAP_FAILED;
  if (contents != nullptr && !contents->empty()) std::memcpy(memory, contents->data(), std::min(size, contents->size()));
  mappings_.push_back({memory, size});
  return memory;
}

int Kernel::unmap(void* address, std::size_t size) {
  const auto found = std::find_if(mappings_.begin(), mappings_.end(), [&](const Mapping& mapping) { return mapping.address == address; });
  require(found != mappings_.end() && found->size == size, "munmap of what is not a mapping");
  std::free(address);
  mappings_.erase(found);
  return 0;
}

}  // namespace fuzz

namespace strata::sys {
namespace {

using fuzz::Kernel;
using fuzz::kernel;
using Kind = Kernel::Kind;

// What a call is given must be readable; the sanitizer tells when it is not.
volatile std::uint8_t sink;

void touch(const void* data, std::size_t size) {
  const auto* at = static_cast<const std::uint8_t*>(data);
  std::uint8_t sum = 0;
  for (std::size_t i = 0; i < size; i++) sum = static_cast<std::uint8_t>(sum + at[i]);
  sink = sum;
}

template <class... Texts>
void touch_texts(const Texts*... texts) {
  ((texts == nullptr ? void() : touch(texts, std::strlen(texts) + 1)), ...);
}

void touch_all(const char* const* texts) {
  for (; *texts != nullptr; texts++) touch_texts(*texts);
}

template <class... Texts>
int answer(const Texts*... texts) {
  touch_texts(texts...);
  return kernel.outcome();
}

// A name in an open directory, and no way that could lead out of it.
void check_name(int dir, const char* path) {
  if (!kernel.single_names || dir == AT_FDCWD || path == nullptr) return;
  fuzz::require(std::strchr(path, '/') == nullptr && std::strcmp(path, "..") != 0, "a path is handed to the kernel, not a name");
}
int answer_in(int dir, const char* path) {
  check_name(dir, path);
  return answer(path);
}
// Attributes of a name in a directory, whose descriptor is in the path.
long answer_attributes(const char* path, const char* name) {
  const int result = answer(path, name);
  if (!kernel.single_names) return result;
  constexpr std::string_view start = "/proc/self/fd/";
  fuzz::require(std::string_view(path).starts_with(start), "attributes are asked for by a path");
  const char* slash = std::strchr(path + start.size(), '/');
  fuzz::require(slash != nullptr, "attributes are asked for without a name");
  check_name(0, slash + 1);
  return result;
}

int opened(Kind kind, std::string path = {}) {
  const int result = kernel.outcome();
  return result < 0 ? result : kernel.open(kind, std::move(path));
}

// Fills a buffer of the caller with bytes of the answers; those that are missing stay as they were.
long fill(void* buffer, std::size_t size) {
  const std::vector<std::uint8_t> bytes = kernel.bytes(size);
  if (!bytes.empty()) std::memcpy(buffer, bytes.data(), bytes.size());
  return static_cast<long>(bytes.size());
}

long fill_text(char* buffer, std::size_t size, const char* otherwise) {
  if (kernel.exhausted()) {
    const std::size_t length = std::min(size, std::strlen(otherwise));
    std::memcpy(buffer, otherwise, length);
    return static_cast<long>(length);
  }
  const long length = fill(buffer, size);
  std::replace(buffer, buffer + length, '\0', '0');
  return length;
}

const std::string& path_of(int fd) {
  static const std::string none;
  const Kernel::Descriptor* descriptor = kernel.find(fd);
  return descriptor == nullptr ? none : descriptor->path;
}

}  // namespace

// --- files

int openat(int dir, const char* path, int, unsigned) {
  check_name(dir, path);
  touch_texts(path);
  return opened(Kind::file, path);
}
int openat2(int, const char* path, const open_how* how, std::size_t size) {
  touch(how, size);
  touch_texts(path);
  if (kernel.without_openat2 && (how->resolve & RESOLVE_IN_ROOT) != 0) return -ENOSYS;
  constexpr std::uint64_t inside = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  fuzz::require(!kernel.single_names || (how->resolve & inside) == inside, "a path may lead out");
  return opened(Kind::file, path);
}
int close(int fd) { return kernel.close(fd); }
int close_range(unsigned, unsigned, unsigned) { return kernel.outcome(); }
int dup3(int, int to, int) {
  const int result = kernel.outcome();
  return result < 0 ? result : to;
}
long fcntl(int fd, int command, long) {
  if (command != F_DUPFD_CLOEXEC) return kernel.outcome();
  const Kernel::Descriptor* descriptor = kernel.find(fd);
  const Kernel::Descriptor copy = descriptor == nullptr ? Kernel::Descriptor{Kind::socket, {}, {}, false, 0} : *descriptor;
  const int number = opened(copy.kind, copy.path);
  if (number >= 0) *kernel.find(number) = copy;
  if (number >= 0 && kernel.in_child) kernel.find(number)->kind = Kind::closed;
  return number;
}
long read(int fd, void* buffer, std::size_t size) {
  if (const int result = kernel.outcome(); result < 0) return result;
  Kernel::Descriptor* descriptor = kernel.find(fd);
  if (descriptor != nullptr && descriptor->has_contents) {
    const std::size_t length = std::min({size, descriptor->contents.size(), static_cast<std::size_t>(kernel.number(2, 0xffff)) + 1});
    std::copy_n(descriptor->contents.begin(), length, static_cast<std::uint8_t*>(buffer));
    descriptor->contents.erase(descriptor->contents.begin(), descriptor->contents.begin() + static_cast<std::ptrdiff_t>(length));
    return static_cast<long>(length);
  }
  const bool socket = descriptor == nullptr || descriptor->kind == Kind::socket;
  if (!socket) return fill(buffer, size);
  if (!kernel.exhausted()) return fill(buffer, size);
  const char message = size == 1 ? kernel.say() : '\0';
  std::memset(buffer, message, size);
  // Four bytes are a pid: of another child of this process (Message::process).
  if (size == sizeof(std::int32_t)) {
    const std::int32_t second = kernel.fork();
    std::memcpy(buffer, &second, sizeof second);
  }
  return size == 1 && message == '\0' ? 0 : static_cast<long>(size);
}
long write(int, const void* buffer, std::size_t size) {
  touch(buffer, size);
  if (const int result = kernel.outcome(); result < 0) return result;
  const auto part = static_cast<std::size_t>(kernel.number(1, 0));
  return static_cast<long>(part == 0 ? size : std::min(size, part));
}
long pread(int fd, void* buffer, std::size_t size, std::int64_t offset) {
  return kernel.is_real(fd) ? ::pread(fd, buffer, size, offset) : read(fd, buffer, size);
}
long pwrite(int fd, const void* buffer, std::size_t size, std::int64_t) { return write(fd, buffer, size); }
long copy_file_range(int, std::int64_t* from_offset, int, std::int64_t* to_offset, std::size_t size) {
  if (const int result = kernel.outcome(); result < 0) return result;
  const auto copied = static_cast<std::int64_t>(std::min<std::uint64_t>(size, kernel.number(2, 0xffff)));
  *from_offset += copied;
  *to_offset += copied;
  return copied;
}
std::int64_t lseek(int, std::int64_t offset, int whence) {
  if (const int result = kernel.outcome(); result < 0) return result;
  if (kernel.exhausted() && whence == SEEK_DATA) return offset;
  if (kernel.exhausted() && whence == SEEK_HOLE) return offset + 4096;
  return static_cast<std::int64_t>(kernel.number(2, 0));
}
int ftruncate(int, std::int64_t) { return kernel.outcome(); }
int mkdirat(int dir, const char* path, unsigned) { return answer_in(dir, path); }
int unlinkat(int dir, const char* path, int) { return answer_in(dir, path); }
int symlinkat(const char* target, int dir, const char* path) {
  touch_texts(target);
  return answer_in(dir, path);
}
int linkat(int from_dir, const char* from, int to_dir, const char* to, int) {
  check_name(from_dir, from);
  touch_texts(from);
  return answer_in(to_dir, to);
}
int mknodat(int dir, const char* path, unsigned, std::uint64_t) { return answer_in(dir, path); }
int renameat2(int, const char* from, int, const char* to, unsigned) { return answer(from, to); }
int fchownat(int dir, const char* path, unsigned, unsigned, int) { return answer_in(dir, path); }
int fchmod(int, unsigned) { return kernel.outcome(); }
int fchmodat(int dir, const char* path, unsigned) { return answer_in(dir, path); }
int faccessat(int, const char* path, int) { return answer(path); }
int utimensat(int dir, const char* path, const timespec* times, int) {
  if (times != nullptr) touch(times, 2 * sizeof *times);
  return answer_in(dir, path);
}
long readlinkat(int dir, const char* path, char* buffer, std::size_t size) {
  if (const int result = answer_in(dir, path); result < 0) return result;
  return fill_text(buffer, size, "7");
}
// Entries as the kernel packs them. Their layout is the same in every program that asks.
long getdents64(int fd, void* buffer, std::size_t size) {
  if (const int result = kernel.outcome(); result < 0) return result;
  std::vector<std::vector<std::uint8_t>> names;
  for (std::uint8_t left = kernel.byte() % 8; left > 0; left--) names.push_back(kernel.bytes(255));
  Kernel::Descriptor* directory = kernel.find(fd);
  if (kernel.exhausted() && directory != nullptr && !std::exchange(directory->listed, true) && kernel.directories_left-- > 0) {
    for (const char name : {'.', 'f', 'd', 'l', 'c'}) names.push_back({static_cast<std::uint8_t>(name)});
  }
  std::size_t used = 0;
  for (const std::vector<std::uint8_t>& name : names) {
    const std::size_t length = (offsetof(dirent64, d_name) + name.size() + 1 + 7) / 8 * 8;
    if (used + length > size) break;
    auto* at = static_cast<std::uint8_t*>(buffer) + used;
    std::memset(at, 0, length);
    const auto record = static_cast<unsigned short>(length);
    std::memcpy(at + offsetof(dirent64, d_reclen), &record, sizeof record);
    at[offsetof(dirent64, d_type)] = kernel.byte(DT_DIR) % 16;
    for (std::size_t i = 0; i < name.size(); i++) at[offsetof(dirent64, d_name) + i] = name[i] == 0 || name[i] == '/' ? 'x' : name[i];
    used += length;
  }
  return static_cast<long>(used);
}
int statx(int dir, const char* path, int, unsigned, struct statx* result) {
  if (const int failed = answer_in(dir, path); failed < 0) return failed;
  std::memset(result, 0, sizeof *result);
  if (kernel.is_real(dir)) {
    struct stat status {};
    const int failed = ::fstat(dir, &status);
    result->stx_size = static_cast<std::uint64_t>(status.st_size);
    return failed;
  }
  const Kernel::Descriptor* descriptor = kernel.find(dir);
  const std::string_view name = *path == '\0' ? std::string_view(path_of(dir)) : path;
  constexpr unsigned types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, 0};
  const bool directory = (*path == '\0' && name != "/etc/passwd") || name == "d";
  unsigned type = directory ? S_IFDIR : S_IFREG;
  if (name == "l") type = S_IFLNK;
  if (name == "c") type = S_IFCHR;
  if (name == "/dev/null") {
    type = S_IFCHR;
    result->stx_rdev_major = 1;
    result->stx_rdev_minor = 3;
  }
  if (!kernel.exhausted()) {
    const std::uint8_t choice = kernel.byte();
    if (choice >= 8) type = types[choice % 8];
  }
  result->stx_mode = static_cast<std::uint16_t>(type | kernel.number(2, 0755));
  result->stx_ino = kernel.number(1, 1);
  result->stx_attributes = kernel.byte() == 0 ? STATX_ATTR_MOUNT_ROOT : 0;
  result->stx_size = kernel.number(2, 64);
  if (descriptor != nullptr && descriptor->has_contents) result->stx_size = descriptor->contents.size();
  return 0;
}
int fstatfs(int fd, struct statfs* result) {
  if (const int failed = kernel.outcome(); failed < 0) return failed;
  std::memset(result, 0, sizeof *result);
  constexpr long proc = 0x9fa0;
  constexpr long devpts = 0x1cd1;
  constexpr long tmpfs = 0x01021994;
  long type = tmpfs;
  if (path_of(fd) == "/proc") type = proc;
  if (path_of(fd) == "/dev/pts/ptmx") type = devpts;
  if (kernel.byte() % 4 == 3) type = proc;
  result->f_type = type;
  return 0;
}
int flock(int, int) { return kernel.outcome(); }
int fsync(int) { return kernel.outcome(); }
int syncfs(int) { return kernel.outcome(); }
int fsetxattr(int, const char* name, const void* value, std::size_t size, int) {
  touch(value, size);
  return answer(name);
}
int setxattr(const char* path, const char* name, const void* value, std::size_t size, int) {
  touch(value, size);
  return answer(path, name);
}
long getxattr(const char* path, const char* name, void* value, std::size_t size) {
  const int result = answer(path, name);
  return result < 0 ? result : fill(value, size);
}
long flistxattr(int, char* list, std::size_t size) {
  if (const int result = kernel.outcome(); result < 0) return result;
  constexpr char usual[] = "user.a\0user.b";
  if (kernel.exhausted() && kernel.populated() && size >= sizeof usual) {
    std::memcpy(list, usual, sizeof usual);
    return sizeof usual;
  }
  const long length = fill(list, size);
  if (length > 0) list[length - 1] = '\0';
  return length;
}
int lsetxattr(const char* path, const char* name, const void* value, std::size_t size, int) {
  touch(value, size);
  return static_cast<int>(answer_attributes(path, name));
}
long lgetxattr(const char* path, const char* name, void* value, std::size_t size) {
  const long result = answer_attributes(path, name);
  return result < 0 ? result : fill(value, size);
}
long llistxattr(const char* path, char* list, std::size_t size) {
  const long result = answer_attributes(path, "");
  return result < 0 ? result : flistxattr(-1, list, size);
}
int fremovexattr(int, const char* name) { return answer(name); }
long listxattr(const char* path, char* list, std::size_t size) {
  touch_texts(path);
  return flistxattr(-1, list, size);
}
long fgetxattr(int, const char* name, void* value, std::size_t size) {
  const int result = answer(name);
  return result < 0 ? result : fill(value, size);
}
long sendfile(int, int, std::int64_t*, std::size_t size) {
  if (const int result = kernel.outcome(); result < 0) return result;
  return static_cast<long>(std::min<std::size_t>(size, kernel.number(2, 0)));
}
int memfd_create(const char* name, unsigned) {
  touch_texts(name);
  if (const int result = kernel.outcome(); result < 0) return result;
  return std::string_view(name) == "strata-seccomp" ? kernel.open_real(name) : kernel.open(Kind::memory, name);
}
void* mmap(void*, std::size_t size, int, int, int fd, std::int64_t) {
  Kernel::Descriptor* descriptor = kernel.find(fd);
  if (fd < 0 || descriptor == nullptr) return kernel.map(size, nullptr);
  if (descriptor->has_contents) return kernel.map(size, &descriptor->contents);
  std::vector<std::uint8_t> contents = kernel.bytes(size);
  return kernel.map(size, &contents);
}
int munmap(void* address, std::size_t size) { return kernel.unmap(address, size); }
long getrandom(void* buffer, std::size_t size) {
  if (const int result = kernel.outcome(); result < 0) return result;
  std::memset(buffer, kernel.byte(), size);
  return static_cast<long>(size);
}

long getcwd(char* buffer, std::size_t size) {
  if (const int result = kernel.outcome(); result < 0) return result;
  const long length = fill_text(buffer, size - 1, "/");
  buffer[length] = '\0';
  return length + 1;
}
int chdir(const char* path) { return answer(path); }
int fchdir(int) { return kernel.outcome(); }
unsigned umask(unsigned) { return static_cast<unsigned>(kernel.number(2, 022)) & 0777; }

// --- mounts

int fsopen(const char* type, unsigned) {
  touch_texts(type);
  return opened(Kind::file);
}
int fsconfig(int, unsigned command, const char* key, const void* value, int) {
  if (command == FSCONFIG_SET_STRING) touch_texts(static_cast<const char*>(value));
  return answer(key);
}
int fspick(int, const char* path, unsigned) {
  touch_texts(path);
  return opened(Kind::file);
}
int fsmount(int, unsigned, unsigned) { return opened(Kind::file); }
int open_tree(int, const char* path, unsigned) {
  touch_texts(path);
  return opened(Kind::file, path);
}
int move_mount(int, const char* from, int, const char* to, unsigned) { return answer(from, to); }
int mount_setattr(int, const char* path, unsigned, mount_attr* attributes, std::size_t size) {
  touch(attributes, size);
  return answer(path);
}
int mount(const char* source, const char* target, const char* type, unsigned long, const void* data) {
  return answer(source, target, type, static_cast<const char*>(data));
}
int umount2(const char* target, int) { return answer(target); }
int pivot_root(const char* new_root, const char* put_old) { return answer(new_root, put_old); }
int chroot(const char* path) { return answer(path); }

// --- namespaces and processes

int setns(int, int) { return kernel.outcome(); }
int unshare(unsigned long) { return kernel.outcome(); }

namespace {

bool lacks_pidfd(const clone_args* arguments) { return (arguments->flags & CLONE_PIDFD) != 0 && arguments->pidfd == 0; }

void give_pidfd(const clone_args* arguments, int child) {
  if ((arguments->flags & CLONE_PIDFD) == 0) return;
  const int pidfd = kernel.pidfd_of(child);
  std::memcpy(reinterpret_cast<void*>(arguments->pidfd), &pidfd, sizeof pidfd);
}

}  // namespace

// The parent's side, or the child's: the answers choose.
long clone3(const clone_args* arguments, std::size_t size) {
  touch(arguments, size);
  if (lacks_pidfd(arguments)) return -EFAULT;
  if (const int result = kernel.outcome(); result < 0) return result;
  if (kernel.byte(kernel.child_first ? 1 : 0) % 2 == 1) return 0;
  const int child = kernel.fork();
  give_pidfd(arguments, child);
  return child;
}

// The child runs to its execve or its end, and then the parent.
long clone3_on_stack(const clone_args* arguments, std::size_t size, int (*entry)(void*), void* argument) {
  touch(arguments, size);
  if (lacks_pidfd(arguments)) return -EFAULT;
  if (const int result = kernel.outcome(); result < 0) return result;
  const int child = kernel.fork();
  give_pidfd(arguments, child);
  // An address that cannot be written to is no error of clone.
  if ((arguments->flags & CLONE_PARENT_SETTID) != 0 && arguments->parent_tid != 0) {
    std::memcpy(reinterpret_cast<void*>(arguments->parent_tid), &child, sizeof child);
  }
  kernel.run_child([&] { (void)entry(argument); });
  return child;
}

int execveat(int, const char* path, const char* const* argv, const char* const* envp, int) {
  touch_all(argv);
  touch_all(envp);
  const int result = answer(path);
  if (result < 0) return result;
  kernel.end_process();
}
int execve(const char* path, const char* const* argv, const char* const* envp) { return execveat(AT_FDCWD, path, argv, envp, 0); }
void exit_group(int) { kernel.end_process(); }
// For a child that lives it may be interrupted, and does not fail else.
int waitid(int type, int id, void* info, int options) {
  if (kernel.outcome() < 0) return -EINTR;
  const Kernel::Descriptor* descriptor = kernel.find(id);
  const int child = type == P_PID ? id : descriptor == nullptr ? 0 : descriptor->child;
  if (child == 0) return -EBADF;
  if ((options & WNOWAIT) == 0) kernel.reap(child);
  if (info == nullptr) return 0;
  siginfo_t status{};
  status.si_pid = child;
  status.si_code = CLD_EXITED + kernel.byte() % 3;
  status.si_status = kernel.byte();
  std::memcpy(info, &status, sizeof status);
  return 0;
}
int pidfd_open(int pid, unsigned) {
  if (const int result = kernel.outcome(); result < 0) return result;
  return kernel.pidfd_of(pid);
}
int pidfd_send_signal(int, int, void*, unsigned) { return kernel.outcome(); }
int pidfd_getfd(int, int) { return opened(Kind::file); }
int kill(int, int) { return kernel.outcome(); }
int getpid() { return static_cast<int>(kernel.number(2, 1)); }
int getppid() { return static_cast<int>(kernel.number(2, 0)); }
unsigned geteuid() { return 0; }
unsigned getegid() { return 0; }
int setsid() { return kernel.outcome(); }
int setpgid(int, int) { return kernel.outcome(); }
int getpgid(int) { return kernel.outcome(); }
int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long) { return kernel.outcome(); }
int capget(void*, void* data) {
  if (const int result = kernel.outcome(); result < 0) return result;
  (void)fill(data, 24);
  return 0;
}
int capset(void*, const void* data) {
  touch(data, 24);
  return kernel.outcome();
}
int setresuid(unsigned, unsigned, unsigned) { return kernel.outcome(); }
int setresgid(unsigned, unsigned, unsigned) { return kernel.outcome(); }
int setgroups(std::size_t count, const unsigned* groups) {
  touch(groups, count * sizeof *groups);
  return kernel.outcome();
}
int getgroups(std::size_t count, unsigned* ret_groups) {
  if (const int result = kernel.outcome(); result < 0) return result;
  if (count == 0) return static_cast<int>(kernel.byte(1));
  return static_cast<int>(fill(ret_groups, count * sizeof *ret_groups) / static_cast<long>(sizeof *ret_groups));
}
int prlimit(int, int, const ResourceLimit* value, ResourceLimit* old) {
  if (value != nullptr) touch(value, sizeof *value);
  if (const int result = kernel.outcome(); result < 0) return result;
  if (old != nullptr) *old = {kernel.number(2, 1024), kernel.number(2, 4096)};
  return 0;
}
int personality(unsigned long) { return kernel.outcome(); }
int sched_getaffinity(int, std::size_t size, void* ret_mask) {
  if (const int result = kernel.outcome(); result < 0) return result;
  std::memset(ret_mask, 0xff, size);
  return static_cast<int>(size);
}
int sched_setaffinity(int, std::size_t size, const void* mask) {
  touch(mask, size);
  return kernel.outcome();
}
int sched_setattr(int, const SchedulerAttributes* attributes) {
  touch(attributes, sizeof *attributes);
  return kernel.outcome();
}
int setpriority(int, int, int) { return kernel.outcome(); }
int ioprio_set(int, int, int) { return kernel.outcome(); }
int set_mempolicy(int, const unsigned long* nodes, unsigned long size) {
  if (size > 0) touch(nodes, (size - 1 + 63) / 64 * 8);
  return kernel.outcome();
}
int sethostname(const char* name, std::size_t size) {
  touch(name, size);
  return kernel.outcome();
}
int setdomainname(const char* name, std::size_t size) { return sethostname(name, size); }
long keyctl(int, unsigned long, unsigned long, unsigned long) { return kernel.outcome(); }
int seccomp(unsigned, unsigned flags, void* argument) {
  if (argument == nullptr) return kernel.outcome();
  sock_fprog program{};
  std::memcpy(&program, argument, sizeof program);
  touch(program.filter, program.len * sizeof(sock_filter));
  return (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0 ? opened(Kind::file) : kernel.outcome();
}
int bpf(int command, bpf_attr* attributes, unsigned size) {
  touch(attributes, size);
  if (command == BPF_PROG_GET_FD_BY_ID) return opened(Kind::file);
  if (command == BPF_PROG_QUERY) {
    if (const int result = kernel.outcome(); result < 0) return result;
    auto* ids = reinterpret_cast<std::uint32_t*>(attributes->query.prog_ids);
    attributes->query.prog_cnt = static_cast<std::uint32_t>(std::min<std::uint64_t>(attributes->query.prog_cnt, kernel.number(1, 1)));
    for (std::uint32_t i = 0; i < attributes->query.prog_cnt; i++) ids[i] = static_cast<std::uint32_t>(kernel.number(1, i + 1));
    return 0;
  }
  if (command == BPF_OBJ_GET_INFO_BY_FD) {
    if (const int result = kernel.outcome(); result < 0) return result;
    auto* info = reinterpret_cast<bpf_prog_info*>(attributes->info.info);
    constexpr char ours[] = "strata_devices";
    std::memcpy(info->name, ours, sizeof ours);
    if ((kernel.byte() & 1) != 0) info->name[0] = 'S';  // somebody else's
    return 0;
  }
  if (command != BPF_PROG_LOAD) return kernel.outcome();
  touch(reinterpret_cast<const void*>(attributes->insns), attributes->insn_cnt * sizeof(bpf_insn));
  if (const int result = kernel.outcome(); result < 0) {
    auto* log = reinterpret_cast<char*>(attributes->log_buf);
    if (log != nullptr && attributes->log_size > 0) log[fill_text(log, attributes->log_size - 1, "")] = '\0';
    return result;
  }
  return kernel.open(Kind::file, "");
}
int ioctl(int, unsigned long, void*) { return kernel.outcome(); }
// Of those with a number, two open something: TIOCGPTPEER and SIOCGSKNS.
int ioctl(int, unsigned long request, unsigned long argument) {
  return argument == 0 && request != SIOCGSKNS ? kernel.outcome() : opened(Kind::file);
}

// --- signals

int set_signal_mask(std::uint64_t, std::uint64_t* old) {
  if (old != nullptr) *old = 0;
  return 0;
}
int default_signal(int) { return 0; }
int signal_action(int, const struct sigaction*, struct sigaction*) { return kernel.outcome(); }

// --- time, pipes and sockets

std::int64_t monotonic_ms() { return ++kernel.clock_us / 1000; }
int clock_gettime(int, timespec* time) {
  kernel.clock_us++;
  *time = {kernel.clock_us / 1000000, kernel.clock_us % 1000000 * 1000};
  return 0;
}
int nanosleep_ms(std::int64_t milliseconds) { return nanosleep_us(milliseconds * 1000); }
int nanosleep_us(std::int64_t microseconds) {
  kernel.clock_us += microseconds;
  return kernel.outcome();
}
int poll(pollfd* fds, std::size_t count, int) {
  kernel.clock_us += 1000;
  if (const int result = kernel.outcome(); result < 0) return result;
  if (kernel.byte() % 4 == 3) return 0;
  for (std::size_t i = 0; i < count; i++) fds[i].revents = fds[i].fd < 0 ? 0 : fds[i].events;
  return static_cast<int>(count);
}
int pipe2(int fds[2], int) {
  if (const int result = kernel.outcome(); result < 0) return result;
  fds[0] = kernel.open(Kind::socket, "");
  fds[1] = kernel.open(Kind::socket, "");
  return 0;
}
int eventfd(unsigned, int) { return opened(Kind::file); }
int epoll_create1(int) { return opened(Kind::file); }
int epoll_ctl(int, int, int, epoll_event*) { return kernel.outcome(); }
int epoll_wait(int, epoll_event*, int, int) { return 0; }
int socketpair(int, int, int, int fds[2]) { return pipe2(fds, 0); }
int socket(int, int, int) { return opened(Kind::socket); }
int bind(int, const sockaddr* address, unsigned size) {
  touch(address, size);
  return kernel.outcome();
}
int listen(int, int) { return kernel.outcome(); }
int connect(int, const sockaddr* address, unsigned size) {
  touch(address, size);
  return kernel.outcome();
}
int accept4(int, int) { return kernel.connections_left-- > 0 ? opened(Kind::socket) : -EINVAL; }
long sendmsg(int, const msghdr* message, int) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < message->msg_iovlen; i++) {
    touch(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
    size += message->msg_iov[i].iov_len;
  }
  touch(message->msg_control, message->msg_controllen);
  if (const int result = kernel.outcome(); result < 0) return result;
  const auto part = static_cast<std::size_t>(kernel.number(1, 0));
  return static_cast<long>(part == 0 ? size : std::min(size, part));
}
// Descriptors, as many as fit at most, and control messages of other kinds.
long recvmsg(int, msghdr* message, int) {
  if (const int result = kernel.outcome(); result < 0) return result;
  const long size = fill(message->msg_iov[0].iov_base, message->msg_iov[0].iov_len);
  auto* control = static_cast<std::uint8_t*>(message->msg_control);
  std::size_t used = 0;
  for (std::uint8_t left = kernel.byte() % 4; left > 0; left--) {
    const std::size_t count = kernel.byte() % 10;
    const std::size_t space = CMSG_SPACE(count * sizeof(int));
    if (used + space > message->msg_controllen) break;
    cmsghdr header{};
    header.cmsg_len = CMSG_LEN(count * sizeof(int));
    const bool rights = kernel.byte() % 4 != 3;
    header.cmsg_level = rights ? SOL_SOCKET : 0;
    header.cmsg_type = SCM_RIGHTS;
    std::memcpy(control + used, &header, sizeof header);
    for (std::size_t i = 0; i < count; i++) {
      const int number = rights ? kernel.open(Kind::file, "") : 0;
      std::memcpy(control + used + CMSG_LEN(i * sizeof(int)), &number, sizeof number);
    }
    used += space;
  }
  message->msg_controllen = used;
  return size;
}

// Who would write the word is not there: it comes, or never does.
bool await_word(const std::uint32_t* word, std::uint32_t) {
  touch(word, sizeof *word);
  return kernel.byte() % 4 != 3;
}
void trap() { kernel.end_process(); }

}  // namespace strata::sys
