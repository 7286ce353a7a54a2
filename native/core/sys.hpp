// The only door to the kernel: nothing else in the core makes a system call. Every function returns what the kernel returns, a negative
// errno for a failure, and leaves `errno` alone: the child of a CLONE_VM clone shares the caller's thread-local storage, so libc's wrappers
// would write to the parent's errno. Calls that libc lacks (musl has no wrappers for the new mount API) are therefore no special case.
#pragma once

#include <cstddef>
#include <cstdint>

// Declared, not included: the callers that need the layouts include the kernel's or libc's header themselves.
struct clone_args;
struct ifreq;
struct iovec;
struct mount_attr;
struct msghdr;
struct open_how;
struct pollfd;
struct sigaction;
struct siginfo;
struct sockaddr;
struct statfs;
struct statx;
struct timespec;
struct epoll_event;
union bpf_attr;

namespace strata::sys {

// --- files
int openat(int dir, const char* path, int flags, unsigned mode = 0);
int openat2(int dir, const char* path, const open_how* how, std::size_t size);
int close(int fd);
int close_range(unsigned first, unsigned last, unsigned flags);
int dup3(int from, int to, int flags);
long fcntl(int fd, int command, long argument = 0);
long read(int fd, void* buffer, std::size_t size);
long write(int fd, const void* buffer, std::size_t size);
long pread(int fd, void* buffer, std::size_t size, std::int64_t offset);
long pwrite(int fd, const void* buffer, std::size_t size, std::int64_t offset);
long copy_file_range(int from, std::int64_t* from_offset, int to, std::int64_t* to_offset, std::size_t size);
std::int64_t lseek(int fd, std::int64_t offset, int whence);
int ftruncate(int fd, std::int64_t size);
int mkdirat(int dir, const char* path, unsigned mode);
int unlinkat(int dir, const char* path, int flags);
int symlinkat(const char* target, int dir, const char* path);
int linkat(int from_dir, const char* from, int to_dir, const char* to, int flags);
int mknodat(int dir, const char* path, unsigned mode, std::uint64_t device);
int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags);
int fchownat(int dir, const char* path, unsigned uid, unsigned gid, int flags);
int fchmod(int fd, unsigned mode);
int fchmodat(int dir, const char* path, unsigned mode);
int faccessat(int dir, const char* path, int mode);
int utimensat(int dir, const char* path, const timespec* times, int flags);
long readlinkat(int dir, const char* path, char* buffer, std::size_t size);
// What getdents64 writes, one after the other.
struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;  // of all of it, in bytes
  std::uint8_t type;     // DT_…
  char name[];           // up to a NUL
};
long getdents64(int fd, void* buffer, std::size_t size);
int statx(int dir, const char* path, int flags, unsigned mask, struct statx* result);
int fstatfs(int fd, struct statfs* result);
int flock(int fd, int operation);
int fsync(int fd);
int syncfs(int fd);
long getrandom(void* buffer, std::size_t size);
int fsetxattr(int fd, const char* name, const void* value, std::size_t size, int flags);
int setxattr(const char* path, const char* name, const void* value, std::size_t size, int flags);
long getxattr(const char* path, const char* name, void* value, std::size_t size);
long listxattr(const char* path, char* list, std::size_t size);
// Of a symbolic link itself.
int lsetxattr(const char* path, const char* name, const void* value, std::size_t size, int flags);
long lgetxattr(const char* path, const char* name, void* value, std::size_t size);
long llistxattr(const char* path, char* list, std::size_t size);
int fremovexattr(int fd, const char* name);
long flistxattr(int fd, char* list, std::size_t size);
long fgetxattr(int fd, const char* name, void* value, std::size_t size);
long sendfile(int to, int from, std::int64_t* offset, std::size_t size);
int memfd_create(const char* name, unsigned flags);
void* mmap(void* address, std::size_t size, int protection, int flags, int fd, std::int64_t offset);  // MAP_FAILED on failure
void* mremap(void* address, std::size_t size, std::size_t new_size, int flags);                       // MAP_FAILED on failure
int mprotect(void* address, std::size_t size, int protection);
int munmap(void* address, std::size_t size);
long getcwd(char* buffer, std::size_t size);
int chdir(const char* path);
int fchdir(int fd);
unsigned umask(unsigned mask);

// --- mounts
int fsopen(const char* type, unsigned flags);
int fsconfig(int fd, unsigned command, const char* key, const void* value, int aux);
int fspick(int dir, const char* path, unsigned flags);
int fsmount(int fd, unsigned flags, unsigned attributes);
int open_tree(int dir, const char* path, unsigned flags);
int move_mount(int from_dir, const char* from, int to_dir, const char* to, unsigned flags);
int mount_setattr(int dir, const char* path, unsigned flags, mount_attr* attributes, std::size_t size);
int mount(const char* source, const char* target, const char* type, unsigned long flags, const void* data);
int umount2(const char* target, int flags);
int pivot_root(const char* new_root, const char* put_old);
int chroot(const char* path);

// --- namespaces and processes
int setns(int fd, int type);
int unshare(unsigned long flags);
// Also where a filter hides clone3.
int fork();
// As fork(2) does: returns twice, on a copy of the stack. `arguments->stack` must be 0.
long clone3(const clone_args* arguments, std::size_t size);
// The child runs `entry(argument)` on the stack of `arguments` and then exits with its result; the parent's frames stay intact under CLONE_VM.
long clone3_on_stack(const clone_args* arguments, std::size_t size, int (*entry)(void*), void* argument);
int execve(const char* path, const char* const* argv, const char* const* envp);
int execveat(int dir, const char* path, const char* const* argv, const char* const* envp, int flags);
[[noreturn]] void exit_group(int status);
int waitid(int type, int id, void* info, int options);
int pidfd_open(int pid, unsigned flags);
int pidfd_send_signal(int pidfd, int signal, void* info, unsigned flags);
int pidfd_getfd(int pidfd, int descriptor);
int kill(int pid, int signal);
int getpid();
int getppid();
unsigned geteuid();
unsigned getegid();
int setsid();
int setpgid(int pid, int group);
int getpgid(int pid);
int prctl(int option, unsigned long a2 = 0, unsigned long a3 = 0, unsigned long a4 = 0, unsigned long a5 = 0);
int capget(void* header, void* data);
int capset(void* header, const void* data);
int setresuid(unsigned real, unsigned effective, unsigned saved);
int setresgid(unsigned real, unsigned effective, unsigned saved);
int setgroups(std::size_t count, const unsigned* groups);
int getgroups(std::size_t count, unsigned* ret_groups);
// struct rlimit64, under a name that no libc redefines.
struct ResourceLimit {
  std::uint64_t soft;
  std::uint64_t hard;
};
int prlimit(int pid, int resource, const ResourceLimit* value, ResourceLimit* old);
int personality(unsigned long persona);
int sched_getaffinity(int pid, std::size_t size, void* ret_mask);  // the number of bytes written
int sched_setaffinity(int pid, std::size_t size, const void* mask);
// struct sched_attr up to Linux 5.3's fields, which older kernels take too while those are 0.
struct SchedulerAttributes {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime;
  std::uint64_t deadline;
  std::uint64_t period;
  std::uint32_t utilization_minimum;
  std::uint32_t utilization_maximum;
};
int sched_setattr(int pid, const SchedulerAttributes* attributes);
int setpriority(int which, int who, int priority);
int ioprio_set(int which, int who, int priority);
// `size` in bits.
int set_mempolicy(int mode, const unsigned long* nodes, unsigned long size);
int sethostname(const char* name, std::size_t size);
int setdomainname(const char* name, std::size_t size);
long keyctl(int operation, unsigned long a2 = 0, unsigned long a3 = 0, unsigned long a4 = 0);
int seccomp(unsigned operation, unsigned flags, void* argument);
int bpf(int command, bpf_attr* attributes, unsigned size);
int ioctl(int fd, unsigned long request, void* argument);
int ioctl(int fd, unsigned long request, unsigned long argument);

// --- signals
constexpr std::uint64_t all_signals = ~0ULL;
// rt_sigprocmask(SIG_SETMASK); bit n-1 is signal n. `old` may be null.
int set_signal_mask(std::uint64_t mask, std::uint64_t* old);
// SIG_DFL for `signal`.
int default_signal(int signal);
// sigaction(2), through libc, which knows what a handler's return needs. Either may be null.
int signal_action(int signal, const struct sigaction* action, struct sigaction* old);

// --- time, pipes and sockets
std::int64_t monotonic_ms();
int clock_gettime(int clock, timespec* time);
int nanosleep_ms(std::int64_t milliseconds);
int nanosleep_us(std::int64_t microseconds);
// Milliseconds, -1 for ever.
int poll(pollfd* fds, std::size_t count, int timeout);
int pipe2(int fds[2], int flags);
int eventfd(unsigned initial, int flags);
int epoll_create1(int flags);
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
int epoll_wait(int epoll, epoll_event* events, int count, int timeout);
int socketpair(int domain, int type, int protocol, int fds[2]);
int socket(int domain, int type, int protocol);
int bind(int fd, const sockaddr* address, unsigned size);
int listen(int fd, int backlog);
int connect(int fd, const sockaddr* address, unsigned size);
int accept4(int fd, int flags);
long sendmsg(int fd, const msghdr* message, int flags);
long recvmsg(int fd, msghdr* message, int flags);

// --- without a system call, for a process whose filter may forbid every one
// Waits until another process has written `value` to shared memory. False after half a minute, more or less: then nobody will.
bool await_word(const std::uint32_t* word, std::uint32_t value);
// Ends the process by a fault, which nothing can forbid.
[[noreturn]] void trap();

}  // namespace strata::sys
