#include "sys.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <cerrno>
#include <csignal>
#include <ctime>

#include <linux/sched.h>

// Numbers that older libc headers lack; the same on every architecture since they were added after the tables were unified.
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

namespace strata::sys {
namespace {

#if defined(__x86_64__)
long raw(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
long raw(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#else
#error "strata's core needs the system call convention of this architecture in sys.cpp"
#endif

// The processor's own clock, and how far it comes in about half a minute.
#if defined(__x86_64__)
std::uint64_t ticks() { return __builtin_ia32_rdtsc(); }
std::uint64_t patience() { return std::uint64_t{1} << 36; }  // its rate is known to the kernel only: 17 s at 4 GHz
void relax() { __builtin_ia32_pause(); }
#else
std::uint64_t ticks() {
  std::uint64_t value;
  __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(value));
  return value;
}
std::uint64_t patience() {
  std::uint64_t rate;
  __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(rate));
  return rate * 30;
}
void relax() { __asm__ volatile("yield"); }
#endif

long word(const void* pointer) { return reinterpret_cast<long>(pointer); }

template <class... Arguments>
int call(long number, Arguments... arguments) {
  return static_cast<int>(raw(number, static_cast<long>(arguments)...));
}

}  // namespace

int openat(int dir, const char* path, int flags, unsigned mode) { return call(SYS_openat, dir, word(path), flags, mode); }
int openat2(int dir, const char* path, const open_how* how, std::size_t size) { return call(SYS_openat2, dir, word(path), word(how), size); }
int close(int fd) { return call(SYS_close, fd); }
int close_range(unsigned first, unsigned last, unsigned flags) { return call(SYS_close_range, first, last, flags); }
int dup3(int from, int to, int flags) { return call(SYS_dup3, from, to, flags); }
long fcntl(int fd, int command, long argument) { return raw(SYS_fcntl, fd, command, argument); }
long read(int fd, void* buffer, std::size_t size) { return raw(SYS_read, fd, word(buffer), static_cast<long>(size)); }
long write(int fd, const void* buffer, std::size_t size) { return raw(SYS_write, fd, word(buffer), static_cast<long>(size)); }
long pread(int fd, void* buffer, std::size_t size, std::int64_t offset) {
  return raw(SYS_pread64, fd, word(buffer), static_cast<long>(size), static_cast<long>(offset));
}
long pwrite(int fd, const void* buffer, std::size_t size, std::int64_t offset) {
  return raw(SYS_pwrite64, fd, word(buffer), static_cast<long>(size), static_cast<long>(offset));
}
long copy_file_range(int from, std::int64_t* from_offset, int to, std::int64_t* to_offset, std::size_t size) {
  return raw(SYS_copy_file_range, from, word(from_offset), to, word(to_offset), static_cast<long>(size));
}
std::int64_t lseek(int fd, std::int64_t offset, int whence) { return raw(SYS_lseek, fd, static_cast<long>(offset), whence); }
int ftruncate(int fd, std::int64_t size) { return call(SYS_ftruncate, fd, size); }
int mkdirat(int dir, const char* path, unsigned mode) { return call(SYS_mkdirat, dir, word(path), mode); }
int unlinkat(int dir, const char* path, int flags) { return call(SYS_unlinkat, dir, word(path), flags); }
int symlinkat(const char* target, int dir, const char* path) { return call(SYS_symlinkat, word(target), dir, word(path)); }
int linkat(int from_dir, const char* from, int to_dir, const char* to, int flags) {
  return call(SYS_linkat, from_dir, word(from), to_dir, word(to), flags);
}
int mknodat(int dir, const char* path, unsigned mode, std::uint64_t device) { return call(SYS_mknodat, dir, word(path), mode, device); }
int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) {
  return call(SYS_renameat2, from_dir, word(from), to_dir, word(to), flags);
}
int fchownat(int dir, const char* path, unsigned uid, unsigned gid, int flags) { return call(SYS_fchownat, dir, word(path), uid, gid, flags); }
int fchmod(int fd, unsigned mode) { return call(SYS_fchmod, fd, mode); }
int fchmodat(int dir, const char* path, unsigned mode) { return call(SYS_fchmodat, dir, word(path), mode); }
int faccessat(int dir, const char* path, int mode) { return call(SYS_faccessat, dir, word(path), mode); }
int utimensat(int dir, const char* path, const timespec* times, int flags) { return call(SYS_utimensat, dir, word(path), word(times), flags); }
long readlinkat(int dir, const char* path, char* buffer, std::size_t size) {
  return raw(SYS_readlinkat, dir, word(path), word(buffer), static_cast<long>(size));
}
long getdents64(int fd, void* buffer, std::size_t size) { return raw(SYS_getdents64, fd, word(buffer), static_cast<long>(size)); }
int statx(int dir, const char* path, int flags, unsigned mask, struct statx* result) {
  return call(SYS_statx, dir, word(path), flags, mask, word(result));
}
int fstatfs(int fd, struct statfs* result) { return call(SYS_fstatfs, fd, word(result)); }
int flock(int fd, int operation) { return call(SYS_flock, fd, operation); }
int fsync(int fd) { return call(SYS_fsync, fd); }
int syncfs(int fd) { return call(SYS_syncfs, fd); }
long getrandom(void* buffer, std::size_t size) { return raw(SYS_getrandom, word(buffer), static_cast<long>(size)); }
int fsetxattr(int fd, const char* name, const void* value, std::size_t size, int flags) {
  return call(SYS_fsetxattr, fd, word(name), word(value), size, flags);
}
int setxattr(const char* path, const char* name, const void* value, std::size_t size, int flags) {
  return call(SYS_setxattr, word(path), word(name), word(value), size, flags);
}
long getxattr(const char* path, const char* name, void* value, std::size_t size) {
  return raw(SYS_getxattr, word(path), word(name), word(value), static_cast<long>(size));
}
long listxattr(const char* path, char* list, std::size_t size) { return raw(SYS_listxattr, word(path), word(list), static_cast<long>(size)); }
int lsetxattr(const char* path, const char* name, const void* value, std::size_t size, int flags) {
  return call(SYS_lsetxattr, word(path), word(name), word(value), size, flags);
}
long lgetxattr(const char* path, const char* name, void* value, std::size_t size) {
  return raw(SYS_lgetxattr, word(path), word(name), word(value), static_cast<long>(size));
}
long llistxattr(const char* path, char* list, std::size_t size) { return raw(SYS_llistxattr, word(path), word(list), static_cast<long>(size)); }
int fremovexattr(int fd, const char* name) { return call(SYS_fremovexattr, fd, word(name)); }
long flistxattr(int fd, char* list, std::size_t size) { return raw(SYS_flistxattr, fd, word(list), static_cast<long>(size)); }
long fgetxattr(int fd, const char* name, void* value, std::size_t size) {
  return raw(SYS_fgetxattr, fd, word(name), word(value), static_cast<long>(size));
}
long sendfile(int to, int from, std::int64_t* offset, std::size_t size) { return raw(SYS_sendfile, to, from, word(offset), static_cast<long>(size)); }
int memfd_create(const char* name, unsigned flags) { return call(SYS_memfd_create, word(name), flags); }
void* mmap(void* address, std::size_t size, int protection, int flags, int fd, std::int64_t offset) {
  const long result = raw(SYS_mmap, word(address), static_cast<long>(size), protection, flags, fd, static_cast<long>(offset));
  return result < 0 && result > -4096 ? reinterpret_cast<void*>(-1) : reinterpret_cast<void*>(result);
}
void* mremap(void* address, std::size_t size, std::size_t new_size, int flags) {
  const long result = raw(SYS_mremap, word(address), static_cast<long>(size), static_cast<long>(new_size), flags);
  return result < 0 && result > -4096 ? reinterpret_cast<void*>(-1) : reinterpret_cast<void*>(result);
}
int mprotect(void* address, std::size_t size, int protection) { return call(SYS_mprotect, word(address), size, protection); }
int munmap(void* address, std::size_t size) { return call(SYS_munmap, word(address), size); }
long getcwd(char* buffer, std::size_t size) { return raw(SYS_getcwd, word(buffer), static_cast<long>(size)); }
int chdir(const char* path) { return call(SYS_chdir, word(path)); }
int fchdir(int fd) { return call(SYS_fchdir, fd); }
unsigned umask(unsigned mask) { return static_cast<unsigned>(call(SYS_umask, mask)); }

int fsopen(const char* type, unsigned flags) { return call(SYS_fsopen, word(type), flags); }
int fsconfig(int fd, unsigned command, const char* key, const void* value, int aux) {
  return call(SYS_fsconfig, fd, command, word(key), word(value), aux);
}
int fspick(int dir, const char* path, unsigned flags) { return call(SYS_fspick, dir, word(path), flags); }
int fsmount(int fd, unsigned flags, unsigned attributes) { return call(SYS_fsmount, fd, flags, attributes); }
int open_tree(int dir, const char* path, unsigned flags) { return call(SYS_open_tree, dir, word(path), flags); }
int move_mount(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) {
  return call(SYS_move_mount, from_dir, word(from), to_dir, word(to), flags);
}
int mount_setattr(int dir, const char* path, unsigned flags, mount_attr* attributes, std::size_t size) {
  return call(SYS_mount_setattr, dir, word(path), flags, word(attributes), size);
}
int mount(const char* source, const char* target, const char* type, unsigned long flags, const void* data) {
  return call(SYS_mount, word(source), word(target), word(type), flags, word(data));
}
int umount2(const char* target, int flags) { return call(SYS_umount2, word(target), flags); }
int pivot_root(const char* new_root, const char* put_old) { return call(SYS_pivot_root, word(new_root), word(put_old)); }
int chroot(const char* path) { return call(SYS_chroot, word(path)); }

int setns(int fd, int type) { return call(SYS_setns, fd, type); }
int unshare(unsigned long flags) { return call(SYS_unshare, flags); }
int fork() { return call(SYS_clone, static_cast<long>(SIGCHLD), 0L, 0L, 0L, 0L); }
long clone3(const clone_args* arguments, std::size_t size) { return raw(SYS_clone3, word(arguments), static_cast<long>(size)); }

long clone3_on_stack(const clone_args* arguments, std::size_t size, int (*entry)(void*), void* argument) {
  long result;
  // The child starts with the registers of the parent and an empty stack, so entry and argument travel in registers that the kernel keeps.
#if defined(__x86_64__)
  register int (*function)(void*) __asm__("r12") = entry;
  register void* data __asm__("r13") = argument;
  __asm__ volatile(
      "syscall\n\t"
      "testq %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "movq %%r13, %%rdi\n\t"
      "callq *%%r12\n\t"
      "movl %%eax, %%edi\n\t"
      "movl %[exit], %%eax\n\t"
      "syscall\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone3), "D"(arguments), "S"(size), "r"(function), "r"(data), [exit] "i"(SYS_exit_group)
      : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register int (*function)(void*) __asm__("x19") = entry;
  register void* data __asm__("x20") = argument;
  register long x8 __asm__("x8") = SYS_clone3;
  register const clone_args* x0 __asm__("x0") = arguments;
  register std::size_t x1 __asm__("x1") = size;
  __asm__ volatile(
      "svc 0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, xzr\n\t"
      "mov x0, x20\n\t"
      "blr x19\n\t"
      "mov x8, %[exit]\n\t"
      "svc 0\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(function), "r"(data), [exit] "i"(SYS_exit_group)
      : "memory", "x30");
  result = reinterpret_cast<long>(x0);
#endif
  return result;
}

int execve(const char* path, const char* const* argv, const char* const* envp) { return call(SYS_execve, word(path), word(argv), word(envp)); }
int execveat(int dir, const char* path, const char* const* argv, const char* const* envp, int flags) {
  return call(SYS_execveat, dir, word(path), word(argv), word(envp), flags);
}
void exit_group(int status) {
  for (;;) raw(SYS_exit_group, status);
}
int waitid(int type, int id, void* info, int options) { return call(SYS_waitid, type, id, word(info), options, 0); }
int pidfd_open(int pid, unsigned flags) { return call(SYS_pidfd_open, pid, flags); }
int pidfd_send_signal(int pidfd, int signal, void* info, unsigned flags) { return call(SYS_pidfd_send_signal, pidfd, signal, word(info), flags); }
int pidfd_getfd(int pidfd, int descriptor) { return call(SYS_pidfd_getfd, pidfd, descriptor, 0); }
int kill(int pid, int signal) { return call(SYS_kill, pid, signal); }
int getpid() { return call(SYS_getpid); }
int getppid() { return call(SYS_getppid); }
unsigned geteuid() { return static_cast<unsigned>(call(SYS_geteuid)); }
unsigned getegid() { return static_cast<unsigned>(call(SYS_getegid)); }
int setsid() { return call(SYS_setsid); }
int setpgid(int pid, int group) { return call(SYS_setpgid, pid, group); }
int getpgid(int pid) { return call(SYS_getpgid, pid); }
int prctl(int option, unsigned long a2, unsigned long a3, unsigned long a4, unsigned long a5) { return call(SYS_prctl, option, a2, a3, a4, a5); }
int capget(void* header, void* data) { return call(SYS_capget, word(header), word(data)); }
int capset(void* header, const void* data) { return call(SYS_capset, word(header), word(data)); }
int setresuid(unsigned real, unsigned effective, unsigned saved) { return call(SYS_setresuid, real, effective, saved); }
int setresgid(unsigned real, unsigned effective, unsigned saved) { return call(SYS_setresgid, real, effective, saved); }
int setgroups(std::size_t count, const unsigned* groups) { return call(SYS_setgroups, count, word(groups)); }
int getgroups(std::size_t count, unsigned* ret_groups) { return call(SYS_getgroups, count, word(ret_groups)); }
int prlimit(int pid, int resource, const ResourceLimit* value, ResourceLimit* old) {
  return call(SYS_prlimit64, pid, resource, word(value), word(old));
}
int sched_getaffinity(int pid, std::size_t size, void* ret_mask) { return call(SYS_sched_getaffinity, pid, static_cast<long>(size), word(ret_mask)); }
int sched_setaffinity(int pid, std::size_t size, const void* mask) { return call(SYS_sched_setaffinity, pid, static_cast<long>(size), word(mask)); }
int personality(unsigned long persona) { return call(SYS_personality, persona); }
int sched_setattr(int pid, const SchedulerAttributes* attributes) { return call(SYS_sched_setattr, pid, word(attributes), 0); }
int setpriority(int which, int who, int priority) { return call(SYS_setpriority, which, who, priority); }
int ioprio_set(int which, int who, int priority) { return call(SYS_ioprio_set, which, who, priority); }
int set_mempolicy(int mode, const unsigned long* nodes, unsigned long size) { return call(SYS_set_mempolicy, mode, word(nodes), size); }
int sethostname(const char* name, std::size_t size) { return call(SYS_sethostname, word(name), size); }
int setdomainname(const char* name, std::size_t size) { return call(SYS_setdomainname, word(name), size); }
long keyctl(int operation, unsigned long a2, unsigned long a3, unsigned long a4) {
  return raw(SYS_keyctl, operation, static_cast<long>(a2), static_cast<long>(a3), static_cast<long>(a4));
}
int seccomp(unsigned operation, unsigned flags, void* argument) { return call(SYS_seccomp, operation, flags, word(argument)); }
int bpf(int command, bpf_attr* attributes, unsigned size) { return call(SYS_bpf, command, word(attributes), size); }
int ioctl(int fd, unsigned long request, void* argument) { return call(SYS_ioctl, fd, request, word(argument)); }
int ioctl(int fd, unsigned long request, unsigned long argument) { return call(SYS_ioctl, fd, request, argument); }

int set_signal_mask(std::uint64_t mask, std::uint64_t* old) { return call(SYS_rt_sigprocmask, SIG_SETMASK, word(&mask), word(old), sizeof mask); }

int default_signal(int signal) {
  // The kernel's struct sigaction: handler, flags, restorer (where the architecture has one), mask. All zero is SIG_DFL.
  const unsigned long action[4] = {};
  return call(SYS_rt_sigaction, signal, word(action), 0, sizeof(std::uint64_t));
}

int signal_action(int signal, const struct sigaction* action, struct sigaction* old) { return sigaction(signal, action, old) == 0 ? 0 : -errno; }

std::int64_t monotonic_ms() {
  timespec now{};
  sys::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}
int clock_gettime(int clock, timespec* time) { return call(SYS_clock_gettime, clock, word(time)); }
int nanosleep_ms(std::int64_t milliseconds) { return nanosleep_us(milliseconds * 1000); }
int nanosleep_us(std::int64_t microseconds) {
  const timespec duration{static_cast<time_t>(microseconds / 1000000), static_cast<long>(microseconds % 1000000 * 1000)};
  return call(SYS_nanosleep, word(&duration), 0);
}
int poll(pollfd* fds, std::size_t count, int timeout) {
  timespec limit{timeout / 1000, timeout % 1000 * 1000000L};
  return call(SYS_ppoll, word(fds), count, timeout < 0 ? 0 : word(&limit), 0, 0);
}
int pipe2(int fds[2], int flags) { return call(SYS_pipe2, word(fds), flags); }
int eventfd(unsigned initial, int flags) { return call(SYS_eventfd2, initial, flags); }
int epoll_create1(int flags) { return call(SYS_epoll_create1, flags); }
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) { return call(SYS_epoll_ctl, epoll, operation, fd, word(event)); }
int epoll_wait(int epoll, epoll_event* events, int count, int timeout) { return call(SYS_epoll_pwait, epoll, word(events), count, timeout, 0, 0); }
int socketpair(int domain, int type, int protocol, int fds[2]) { return call(SYS_socketpair, domain, type, protocol, word(fds)); }
int socket(int domain, int type, int protocol) { return call(SYS_socket, domain, type, protocol); }
int bind(int fd, const sockaddr* address, unsigned size) { return call(SYS_bind, fd, word(address), size); }
int listen(int fd, int backlog) { return call(SYS_listen, fd, backlog); }
int connect(int fd, const sockaddr* address, unsigned size) { return call(SYS_connect, fd, word(address), size); }
int accept4(int fd, int flags) { return call(SYS_accept4, fd, 0, 0, flags); }
long sendmsg(int fd, const msghdr* message, int flags) { return raw(SYS_sendmsg, fd, word(message), flags); }
long recvmsg(int fd, msghdr* message, int flags) { return raw(SYS_recvmsg, fd, word(message), flags); }

bool await_word(const std::uint32_t* word, std::uint32_t value) {
  const std::uint64_t begin = ticks();
  while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
    // A process that was stopped meanwhile has had no chance to see the word.
    if (ticks() - begin > patience()) return __atomic_load_n(word, __ATOMIC_ACQUIRE) == value;
    relax();
  }
  return true;
}
void trap() { __builtin_trap(); }

}  // namespace strata::sys
