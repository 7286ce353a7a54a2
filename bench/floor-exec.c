/*
 * floor-exec.c - the physical floor of `exec`: enter a running container with the fewest system calls, give up the rights that the default
 * configuration's program has not, execute a program there, wait for it.
 *
 *   build:  gcc -O2 -Wall -static -o floor-exec floor-exec.c -lpthread
 *
 *   floor-exec PID CGROUP ARGV...     PID: the container's first process; CGROUP: the path of its cgroups, below every hierarchy
 *
 * Unlike a runtime it joins the namespaces itself, before it clones, and has no state to read and nothing to verify.
 */
#define FLOOR_NO_MAIN
#include "floor.c"

static char **program;

/* In our memory until the execve, on a stack of its own. */
static int become(void *p) {
  struct run *r = p;
  const uint32_t kept = 1U << CAP_AUDIT_WRITE | 1U << CAP_KILL | 1U << CAP_NET_BIND_SERVICE;
  for (int cap = 0; cap <= 40; cap++)
    if (cap >= 32 || !(kept >> cap & 1)) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2] = {{kept, kept, 0}, {0, 0, 0}};
  TRY(syscall(SYS_capset, &header, sets), "capset");
  TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  execve(program[0], program, environ);
  FAIL("execve");
}

static int fail(const char *what) {
  perror(what);
  return 125;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fputs("usage: floor-exec PID CGROUP ARGV...\n", stderr);
    return 2;
  }
  program = argv + 3;
  floor_discover();
  char path[512];
  const int target = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
  if (target < 0) return fail("pidfd_open");
  for (int i = 0; i < H.n; i++) {
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s/tasks", H.h[i].name, argv[2]);
    if (put(AT_FDCWD, path, "0")) return fail(path);
  }
  snprintf(path, sizeof path, "/sys/fs/cgroup/unified%s", argv[2]);
  const int unified = open(path, O_PATH | O_CLOEXEC);
  if (setns(target, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)) return fail("setns");
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);

  static char stack[65536] __attribute__((aligned(16)));
  static struct run r;
  int pidfd = -1;
  struct clone_args arguments = {
      .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | (unified >= 0 ? CLONE_INTO_CGROUP : 0),
      .cgroup = unified,
      .pidfd = (uintptr_t)&pidfd,
      .exit_signal = SIGCHLD,
      .stack = (uintptr_t)stack,
      .stack_size = sizeof stack,
  };
  const long pid = clone3_fn(&arguments, become, &r);
  if (pid < 0) {
    errno = -pid;
    return fail("clone3");
  }
  siginfo_t info;
  waitid(P_PIDFD, pidfd, &info, WEXITED);
  if (r.err) {
    errno = r.eno;
    return fail(r.err);
  }
  return info.si_status;
}
