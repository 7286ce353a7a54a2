/* Makes system calls that a default profile is to allow or refuse, and prints what becomes of each: a line with its name and the errno, 0 if none. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tell(const char* name, long result) { printf("%s %d\n", name, result < 0 ? errno : 0); }

#if defined(__x86_64__)
/* A call of a 32-bit program. */
static long call32(long number, long one, long two, long three) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(one), "c"(two), "d"(three) : "memory");
  if (result >= 0 || result < -4095) return 0;
  errno = (int)-result;
  return -1;
}
#endif

int main(void) {
  const long high = 1L << 32;
  tell("unix", syscall(SYS_socket, 1, 1, 0));
  tell("netlink", syscall(SYS_socket, 16, 3, 0));
  tell("alg", syscall(SYS_socket, 38, 5, 0));
  tell("alg-high", syscall(SYS_socket, high | 38, 5, 0));
  tell("vsock", syscall(SYS_socket, 40, 1, 0));
  tell("vsock-high", syscall(SYS_socket, high | 40, 1, 0));
#if defined(__x86_64__)
  tell("unix-32", call32(359, 1, 1, 0));
  tell("vsock-32", call32(359, 40, 1, 0));
  tell("socketcall-32", call32(102, 1, 0, 0));
#endif
  tell("clone3", syscall(SYS_clone3, 0, 0));
  tell("clone-newuser", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
  tell("unshare", syscall(SYS_unshare, CLONE_NEWUSER));
  tell("io_uring_setup", syscall(SYS_io_uring_setup, 1, 0));
  tell("keyctl", syscall(SYS_keyctl, 0, 0));
  tell("bpf", syscall(SYS_bpf, 0, 0, 0));
  tell("personality", syscall(SYS_personality, 0xffffffff));
  tell("personality-no-random", syscall(SYS_personality, 0x40000));
  tell("unknown", syscall(9999));
  return 0;
}
