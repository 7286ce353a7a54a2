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
