/** The configuration that `spec` writes: a shell in a container with no network, few capabilities and no devices. */

/** The version of the runtime specification that strata implements. */
export const OCI_VERSION = '1.3.0';

export interface DefaultSpecOptions {
  /** For an unprivileged user: a user namespace in place of what needs privileges. */
  readonly rootless?: boolean;
  /** The user and group outside that root is mapped to, when rootless; default 0. */
  readonly uid?: number;
  readonly gid?: number;
}

/** Of a mount as config.json has it. */
export interface DefaultMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options?: readonly string[];
}

/** What tells a container of the machine, or would let it change that. */
export const MASKED_PATHS: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/sys/firmware',
  '/proc/scsi',
];
export const READONLY_PATHS: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

const CAPABILITIES = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];

/** A configuration as config.json has it, ready to be written as JSON; the same that runc 1.3 gives, with a cgroup namespace. */
export function defaultSpec(options: DefaultSpecOptions = {}): object {
  const rootless = options.rootless === true;
  return {
    ociVersion: OCI_VERSION,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['sh'],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'strata',
    mounts: defaultMounts(rootless),
    linux: {
      ...(rootless
        ? {
            uidMappings: [{ containerID: 0, hostID: options.uid ?? 0, size: 1 }],
            gidMappings: [{ containerID: 0, hostID: options.gid ?? 0, size: 1 }],
          }
        : { resources: { devices: [{ allow: false, access: 'rwm' }] } }),
      namespaces: (rootless ? ['pid', 'ipc', 'uts', 'mount', 'cgroup', 'user'] : ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup']).map((type) => ({
        type,
      })),
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
    },
  };
}

/** A user namespace that does not own its network namespace cannot mount sysfs, and one with a single id has no group 5 (tty). */
export function defaultMounts(rootless = false): DefaultMount[] {
  const devpts = ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'];
  const sys = ['nosuid', 'noexec', 'nodev', 'ro'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: rootless ? devpts : [...devpts, 'gid=5'] },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    rootless
      ? { destination: '/sys', type: 'none', source: '/sys', options: ['rbind', ...sys] }
      : { destination: '/sys', type: 'sysfs', source: 'sysfs', options: sys },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] },
  ];
}
