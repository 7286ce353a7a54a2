/**
 * The seccomp profile of a container that is made of an image: an allow list of our own, made from the kernel's table of system calls (Linux 6.18, x86 and
 * arm, 32 and 64 bit). Left out is what no program in a container needs: what manages the machine, what the kernel does not keep apart between
 * containers (keys), what is there for old programs only, and what has been a way out more than once (io_uring, userfaultfd). What the kernel allows with
 * a capability only is let through to those who have it, and to nobody else, so that a fault in the kernel's own check cannot be reached.
 */

/** Needs nothing. */
const ALLOWED: readonly string[] = (
  '_llseek _newselect accept accept4 access adjtimex alarm arch_prctl arm_fadvise64_64 arm_sync_file_range bind breakpoint brk cacheflush ' +
  'cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime ' +
  'clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create ' +
  'epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 ' +
  'fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr ' +
  'file_getattr file_setattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 ' +
  'futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents ' +
  'getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid ' +
  'getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday ' +
  'getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents ' +
  'io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset ' +
  'landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr ' +
  'lsm_get_self_attr lsm_list_modules lsm_set_self_attr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore ' +
  'mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive ' +
  'mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap ' +
  'name_to_handle_at nanosleep newfstatat nice oldfstat oldlstat oldolduname oldstat olduname open openat openat2 pause pidfd_open ' +
  'pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 ' +
  'process_mrelease pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readdir readlink readlinkat readv recv recvfrom ' +
  'recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq ' +
  'rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 ' +
  'rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler ' +
  'sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp ' +
  'select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area ' +
  'set_tid_address set_tls setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid ' +
  'setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat ' +
  'sgetmask shmat shmctl shmdt shmget shutdown sigaction sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend ' +
  'socketpair splice ssetmask stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range sync_file_range2 ' +
  'syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 ' +
  'timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname ' +
  'unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev'
).split(' ');

/** What each capability opens, capabilities(7). */
const WITH_CAPABILITY: Readonly<Record<string, string>> = {
  CAP_BPF: 'bpf',
  CAP_DAC_READ_SEARCH: 'open_by_handle_at',
  CAP_PERFMON: 'perf_event_open',
  CAP_SYSLOG: 'syslog',
  CAP_SYS_ADMIN:
    'bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree open_tree_attr ' +
    'perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns swapoff swapon syslog umount umount2 unshare',
  CAP_SYS_BOOT: 'kexec_file_load kexec_load reboot',
  CAP_SYS_CHROOT: 'chroot',
  CAP_SYS_MODULE: 'delete_module finit_module init_module',
  CAP_SYS_NICE: 'get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node',
  CAP_SYS_PACCT: 'acct',
  CAP_SYS_PTRACE: 'kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev',
  CAP_SYS_RAWIO: 'ioperm iopl',
  CAP_SYS_TIME: 'clock_settime clock_settime64 settimeofday stime',
  CAP_SYS_TTY_CONFIG: 'vhangup',
};

/** The architectures whose programs a kernel of this one also runs, by the name of the image specification (Go's). x32 is left out: nobody uses it. */
const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  amd64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  '386': ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
  arm: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
};

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET, linux/sched.h: all that clone(2) takes. */
const NEW_NAMESPACES = 0x7e02_0000;
/** PER_LINUX and PER_LINUX32, each also with UNAME26, linux/personality.h, and the question which one it is. */
const PERSONALITIES = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/**
 * All address families up to the last but AF_ALG (38), the kernel's ciphers, and AF_VSOCK (40), the way to the hypervisor and past every network namespace,
 * linux/socket.h: pairs of a mask and what is left under it. The kernel takes the low half of the argument only, so nothing else is compared.
 */
const FAMILIES: readonly (readonly [mask: number, value: number])[] = [
  [0xffff_ffe0, 0], // 0 to 31
  [0xffff_fffc, 32], // to 35
  [0xffff_fffe, 36],
  [0xffff_ffff, 39],
  [0xffff_ffff, 41],
  [0xffff_fffe, 42],
  [0xffff_fffc, 44], // to 47
];
const ENOSYS = 38;

/**
 * The profile as `linux.seccomp` has it, a JSON value.
 *
 * @param capabilities those that the process may come to have, such as `CAP_CHOWN`
 * @param architecture of the image; of another than is known here only the machine's own calls are filtered, and all others refused
 */
export function defaultSeccomp(capabilities: readonly string[], architecture: string): object {
  const names = [...ALLOWED];
  for (let index = 0; index < capabilities.length; index++) {
    for (const name of WITH_CAPABILITY[capabilities[index] as string]?.split(' ') ?? []) {
      if (!names.includes(name, ALLOWED.length)) names.push(name);
    }
  }
  const syscalls: object[] = [{ names, action: 'SCMP_ACT_ALLOW' }];
  // What they are told lies in memory, where no filter sees it; told that there is no such call, libc takes clone(2) and socket(2).
  const hidden = ['socketcall'];
  if (!capabilities.includes('CAP_SYS_ADMIN')) {
    syscalls.push(only('clone', 'SCMP_CMP_MASKED_EQ', NEW_NAMESPACES, 0));
    hidden.push('clone3');
  }
  syscalls.push({ names: hidden, action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS });
  syscalls.push(...FIXED_RULES);
  const architectures = ARCHITECTURES[architecture];
  return { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 1, ...(architectures && { architectures }), syscalls };
}

/** Rules that are the same for every container. */
const FIXED_RULES: readonly object[] = [
  ...PERSONALITIES.map((personality) => only('personality', 'SCMP_CMP_EQ', personality)),
  ...FAMILIES.map(([mask, family]) => only('socket', 'SCMP_CMP_MASKED_EQ', mask, family)),
];

/** A call is allowed if its first argument compares so. */
function only(name: string, op: string, value: number, valueTwo = 0): object {
  return { names: [name], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value, valueTwo, op }] };
}
