/** Names of the configuration and their numbers in the kernel. */

function numbered(prefix: string, words: string): Readonly<Record<string, number>> {
  return Object.fromEntries(words.split(' ').map((word, number) => [prefix + word, number]));
}

/** Capability numbers, capabilities(7), linux/capability.h; up to Linux 5.9, the last that added one. */
export const CAPABILITIES = numbered(
  'CAP_',
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW ' +
    'IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD ' +
    'LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE',
);

/** Resource numbers of prlimit(2), asm-generic/resource.h: the same on x86 and arm. */
export const RLIMITS = numbered('RLIMIT_', 'CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME');

/** Policies of sched(7), linux/sched.h. */
export const SCHEDULERS = numbered('SCHED_', 'OTHER FIFO RR BATCH ISO IDLE DEADLINE');

/** Flags of sched_setattr(2) by the number of their bit, linux/sched.h. */
export const SCHEDULER_FLAGS = numbered('SCHED_FLAG_', 'RESET_ON_FORK RECLAIM DL_OVERRUN KEEP_POLICY KEEP_PARAMS UTIL_CLAMP_MIN UTIL_CLAMP_MAX');

/** Classes of ioprio_set(2), linux/ioprio.h; the first is that of a process which has chosen none. */
export const IO_CLASSES = numbered('IOPRIO_CLASS_', 'NONE RT BE IDLE');

/** Modes of set_mempolicy(2), linux/mempolicy.h. */
export const MEMORY_MODES = numbered('MPOL_', 'DEFAULT PREFERRED BIND INTERLEAVE LOCAL PREFERRED_MANY WEIGHTED_INTERLEAVE');

/** Bits that are added to the mode. */
export const MEMORY_FLAGS: Readonly<Record<string, number>> = {
  MPOL_F_NUMA_BALANCING: 0x2000,
  MPOL_F_RELATIVE_NODES: 0x4000,
  MPOL_F_STATIC_NODES: 0x8000,
};

function prefixed(prefix: string, words: string): readonly string[] {
  return words.split(' ').map((word) => prefix + word);
}

/** What `linux.seccomp` may name, config-linux.md, Seccomp. */
export const SECCOMP_ACTIONS = prefixed('SCMP_ACT_', 'KILL KILL_PROCESS KILL_THREAD TRAP ERRNO TRACE ALLOW LOG NOTIFY');
export const SECCOMP_OPERATORS = prefixed('SCMP_CMP_', 'NE LT LE EQ GE GT MASKED_EQ');
export const SECCOMP_FLAGS = prefixed('SECCOMP_FILTER_FLAG_', 'TSYNC LOG SPEC_ALLOW WAIT_KILLABLE_RECV');
export const SECCOMP_ARCHITECTURES = prefixed(
  'SCMP_ARCH_',
  'X86 X86_64 X32 ARM AARCH64 LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X SH SHEB PARISC PARISC64 RISCV64',
);
