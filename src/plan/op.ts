/**
 * The operations of a plan. A plan is data: an ordered list of these, which the C++ core carries out one by one. This table is the
 * only definition: the TypeScript types and the encoder follow from it, and `native/core/plan.hpp` holds its twin, which a test compares.
 *
 * Two processes carry a plan out. Operations up to and including `clone` run in the runtime's process; all later ones run in
 * `strata-init`, the child that becomes the container. Paths of the first kind, and those said to be the host's, are paths of the runtime's
 * mount namespace; all others name a place inside the container's root and are resolved there at the moment of use (design rule 1).
 */
import type { WireValue } from '../host/host.ts';

/** How a field travels: see `encode.ts`. `strings` is a list; `u32s` one of unsigned 32-bit integers; `bytes` may be the values that they are made of. */
export interface FieldTypes {
  string: string;
  strings: readonly string[];
  u32: number;
  u32s: readonly number[];
  u64: bigint;
  bool: boolean;
  bytes: Uint8Array | readonly WireValue[];
}
export type FieldType = keyof FieldTypes;

/** Field names and types by operation, in the order in which they travel. The number is the operation's code on the wire. */
export const OPERATIONS = {
  // --- in the runtime's process --------------------------------------------------------------------------------------------------------

  /**
   * Make the cgroup `path` below the mount point `hierarchy`, parents included; parents that are made are marked with the extended attribute
   * `trusted.strata`, so that removal takes back those and no others. EEXIST for the last component is an error unless it is empty.
   * On cgroup v2 each of `controllers` is enabled in every ancestor, and of `others` each that the kernel lets be; on v1 `cpuset` copies cpus and
   * mems from parent to child.
   */
  'cgroup-make': [1, { hierarchy: 'string', path: 'string', controllers: 'strings', others: 'strings', cpuset: 'bool' }],
  /** Write `value` to the cgroup file `path` (host) in one write(2). `optional` forgives a file that does not exist. */
  'cgroup-write': [2, { path: 'string', value: 'string', optional: 'bool' }],
  /**
   * Load a BPF_PROG_TYPE_CGROUP_DEVICE program and attach it to the v2 cgroup directory `path` (host). `replace`: in the place of the one that was
   * attached so before; ENOENT if that is not there any more.
   */
  'cgroup-device-program': [3, { path: 'string', program: 'bytes', replace: 'bool' }],
  /**
   * Compile a seccomp profile (see `seccomp.ts` for the bytes), or take it from the cache directory `cache` (host, '' for none). The program is left
   * in the file `keep` (host, '' for none), and an empty profile stands for the program that was left there.
   */
  'seccomp-compile': [4, { profile: 'bytes', cache: 'string', keep: 'string' }],
  /**
   * Make the container's first process. `create`: CLONE_NEW* bits of new namespaces. `join`: type and host path alternating, of namespaces
   * to join. `uidMap`, `gidMap`: text for /proc/PID/uid_map, '' without a new user namespace. `timeOffsets`: text for
   * /proc/PID/timens_offsets or ''. `cgroup`: host path of the v2 cgroup it starts in, or ''. `tasks`: host paths of the v1 `tasks` files
   * that it joins. `unprivileged`: the runtime has no rights of its own, so the user namespace comes first and brings them.
   */
  clone: [
    5,
    {
      create: 'u32',
      join: 'strings',
      uidMap: 'string',
      gidMap: 'string',
      timeOffsets: 'string',
      cgroup: 'string',
      tasks: 'strings',
      unprivileged: 'bool',
    },
  ],
  /**
   * In place of `clone`: make a process in a container that is there, whose first process has this pid and start time. `namespaces`: CLONE_NEW* bits
   * of those of that process that it joins; `chroot`: its root too, since that is not the root of a mount namespace of the container's own.
   * `cgroup` and `tasks` as for `clone`; a file `cgroup.procs`
   * among the latter is one of v2.
   */
  enter: [6, { pid: 'u32', startTime: 'u64', namespaces: 'u32', chroot: 'bool', cgroup: 'string', tasks: 'strings' }],
  /**
   * Give the v2 cgroup `directory` (host) and those of the `files` in it that exist to `uid`, so that the container can have cgroups below it
   * (cgroups(7), Delegation).
   */
  'cgroup-own': [8, { directory: 'string', files: 'strings', uid: 'u32' }],
  /** Make the group `path` (host) of a resctrl file system. `shared`: one that exists is as good. */
  'rdt-make': [9, { path: 'string', shared: 'bool' }],
  /**
   * Fail if a v2 cgroup beside `directory` (host) is a partition that has some of `cpus`, which its own are to be: the kernel makes such a partition
   * invalid, or does not give them.
   */
  'cpuset-claim': [12, { directory: 'string', cpus: 'string' }],
  /**
   * Fail if the kernel does not do what has been written to `path` (host): one of a v2 cgroup's `cpuset.cpus`, `cpuset.mems` and
   * `cpuset.cpus.partition`. It takes lists of which the cgroup above has nothing, and partitions that cannot be (admin-guide/cgroup-v2, Cpuset).
   */
  'cpuset-check': [10, { path: 'string' }],
  /**
   * Run the set-uid host program `program` (newuidmap, newgidmap) when the process of `clone` has its new user namespace. Its arguments are the
   * process's pid and `args`, the numbers of the map.
   */
  'id-map-helper': [11, { program: 'string', args: 'strings' }],

  // --- in strata-init: the root file system -------------------------------------------------------------------------------------------

  /** Bind the host directory `source` to the host directory `directory`, where this mount namespace alone sees it. */
  'host-bind': [19, { source: 'string', directory: 'string' }],
  /** Change the propagation of every mount in the new mount namespace: MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE. */
  propagation: [20, { propagation: 'u32' }],
  /** Take the host directory `path` as the container's root. */
  'root-bind': [21, { path: 'string' }],
  /**
   * Mount an overlay as the container's root, seen at the host directory `path`. `lower`: host directories, top first; `upper`, `work`: host
   * directories or ''. `options`: more overlay options, `key` or `key=value`. `classic`: all of it as mount(2) takes it, for kernels without
   * `lowerdir+`; else ''.
   */
  'root-overlay': [22, { path: 'string', lower: 'strings', upper: 'string', work: 'string', options: 'strings', classic: 'string' }],
  /**
   * Mount a new instance of file system `type` at `destination`, which is made if missing. `options`: what the file system itself is told.
   * `set`, `clear`: MOUNT_ATTR_* bits; `recursiveSet`, `recursiveClear` the same with AT_RECURSIVE; `propagation`: MS_* bits or 0, MS_REC
   * included. `copyUp`: first copy what lies below `destination` into the new file system. `realDirectory`: no symbolic link may be followed.
   */
  mount: [
    23,
    {
      destination: 'string',
      type: 'string',
      source: 'string',
      options: 'strings',
      set: 'u64',
      clear: 'u64',
      recursiveSet: 'u64',
      recursiveClear: 'u64',
      propagation: 'u32',
      copyUp: 'bool',
      realDirectory: 'bool',
    },
  ],
  /**
   * Bind the host path `source` to `destination`, which is made (a file or a directory, as the source is) if missing. `overProc`: the
   * destination may lie on a proc file system. `uidMap`, `gidMap`: text of an id mapping for the mount (MOUNT_ATTR_IDMAP), or '';
   * `idmap`: 0 none, 1 this mount, 2 recursively; with empty maps the container's user namespace is used.
   */
  bind: [
    24,
    {
      destination: 'string',
      source: 'string',
      recursive: 'bool',
      set: 'u64',
      clear: 'u64',
      recursiveSet: 'u64',
      recursiveClear: 'u64',
      propagation: 'u32',
      overProc: 'bool',
      realDirectory: 'bool',
      idmap: 'u32',
      uidMap: 'string',
      gidMap: 'string',
    },
  ],
  /**
   * Change an existing mount at `destination` (the `remount` option, and what can only be set once its contents are mounted). `options`: what its file
   * system is told, which holds for all mounts of it.
   */
  remount: [
    25,
    {
      destination: 'string',
      set: 'u64',
      clear: 'u64',
      recursiveSet: 'u64',
      recursiveClear: 'u64',
      propagation: 'u32',
      options: 'strings',
    },
  ],
  /** Make a directory and its parents; one that exists is left as it is. */
  directory: [26, { path: 'string', mode: 'u32' }],
  /** Make a symbolic link. `ifExists`: only when `target` exists inside the root. A link that exists is left as it is. */
  symlink: [27, { path: 'string', target: 'string', ifExists: 'bool' }],
  /** Make a device node or fifo; `type` is a character of the specification. `bind`: bind the host's node (user namespaces cannot mknod). */
  device: [28, { path: 'string', type: 'string', major: 'u32', minor: 'u32', mode: 'u32', uid: 'u32', gid: 'u32', bind: 'bool' }],
  /** Open a pseudoterminal of the container's devpts, send its master to the caller, make it stdio. 0 x 0: no size. `bind`: also to /dev/console. */
  console: [29, { height: 'u32', width: 'u32', uid: 'u32', bind: 'bool' }],
  /** Tell the runtime that prestart and createRuntime hooks can run, and wait until they have. */
  'runtime-hooks': [30, {}],
  /**
   * Run a hook from inside the container's namespaces. Its stdin is `stateBefore`, its pid as it sees itself, `stateAfter`. `timeout`:
   * milliseconds, 0 for none.
   */
  hook: [31, { kind: 'string', path: 'string', args: 'strings', env: 'strings', timeout: 'u32', stateBefore: 'string', stateAfter: 'string' }],
  /** Cover `path`, if it exists, with an empty read-only directory or with /dev/null. */
  mask: [32, { path: 'string' }],
  /** Make `path`, if it exists, read-only with what is mounted below it. */
  readonly: [33, { path: 'string' }],
  /** Write a kernel parameter: `path` below /proc/sys, such as `net/ipv4/ip_forward`. */
  sysctl: [34, { path: 'string', value: 'string' }],
  /** Make the root mount read-only. */
  'root-readonly': [35, {}],
  /**
   * Enter the root. `mode`: 0 pivot_root(2), 1 a moved mount and chroot(2) (--no-pivot), 2 a container without a mount namespace of its own: a
   * copy of the finished tree, seen by nobody else, and chroot(2). `propagation` for the new root: MS_* or 0.
   */
  pivot: [36, { mode: 'u32', propagation: 'u32' }],

  // --- in strata-init: the process -----------------------------------------------------------------------------------------------------

  hostname: [40, { name: 'string' }],
  domainname: [41, { name: 'string' }],
  /** Bring up `lo` in a new network namespace. */
  'loopback-up': [42, {}],
  /** Join the session keyring of this name, which is made if there is none. */
  keyring: [43, { name: 'string' }],
  /** Write /proc/self/oom_score_adj. */
  'oom-score-adj': [44, { value: 'string' }],
  /** setrlimit(2); `resource` is the number of RLIMIT_*, `name` its name for errors. */
  rlimit: [45, { resource: 'u32', name: 'string', soft: 'u64', hard: 'u64' }],
  /** chdir(2), verified to lie inside the root. Where it is refused it is tried once more after `user`: that is the `last` one. */
  cwd: [46, { path: 'string', last: 'bool' }],
  /** Find `file` as execvp(3) would, in the directories of `search` (the value of PATH). */
  executable: [47, { file: 'string', search: 'string' }],
  'no-new-privileges': [48, {}],
  /** Load the program of `seccomp-compile`. */
  'seccomp-load': [49, {}],
  /** Drop everything not in `bounding` from the bounding set. */
  bounding: [50, { bounding: 'u64' }],
  /** setgroups, setgid, setuid, umask. `umask` 0xffffffff: leave the caller's. */
  user: [51, { uid: 'u32', gid: 'u32', groups: 'u32s', umask: 'u32' }],
  /** capset(2) and the ambient set; bit n is capability n. */
  capabilities: [52, { effective: 'u64', permitted: 'u64', inheritable: 'u64', ambient: 'u64' }],
  /** personality(2): 0 LINUX, 8 LINUX32. */
  personality: [53, { domain: 'u32' }],
  /** Tell the runtime that the container is created, and wait for `start`. */
  ready: [54, {}],
  /** Execute the program that `executable` found. `args` is argv, `env` the whole environment. */
  exec: [55, { args: 'strings', env: 'strings' }],
  /** Find the home directory of `uid` in the container's /etc/passwd, '/' if it has none; `exec` adds it to the environment as HOME. */
  home: [56, { uid: 'u32' }],
  /**
   * sched_setaffinity(2): bit b of `mask[w]` is CPU 32 w + b. Before `enter` it is for the new process alone, which has it from its birth on, and so
   * before it is in the container's cgroups.
   */
  'cpu-affinity': [57, { mask: 'u32s' }],
  /** sched_setattr(2). `policy`: SCHED_*; `nice`: signed, in 32 bits; `flags`: SCHED_FLAG_*; times in nanoseconds. */
  scheduler: [58, { policy: 'u32', nice: 'u32', priority: 'u32', flags: 'u64', runtime: 'u64', deadline: 'u64', period: 'u64' }],
  /** ioprio_set(2): IOPRIO_CLASS_*, and the priority in it. */
  'io-priority': [59, { class: 'u32', priority: 'u32' }],
  /** set_mempolicy(2): MPOL_* with MPOL_F_*; `mask`: bit n of word n / 32 is node n, `nodes` the same for errors. */
  'memory-policy': [60, { mode: 'u32', nodes: 'string', mask: 'u32s' }],
  /** Take on an AppArmor profile with execve. */
  'apparmor-profile': [61, { profile: 'string' }],
  /** Set an SELinux label of the process. `attribute`, a file of /proc/PID/attr: `exec`, taken on with execve, or `keycreate`, that of its new keys. */
  'selinux-label': [62, { attribute: 'string', label: 'string' }],

  /** The SELinux label of the file systems that are made from here on, but for those that the kernel labels itself. */
  'mount-label': [63, { label: 'string' }],
  /**
   * Move the device `name` of the runtime's network namespace into the container's, where it becomes `target` (which may end in `%d`, for the first
   * number that is free), with its permanent addresses of global scope, and set it up.
   */
  'net-device': [64, { name: 'string', target: 'string' }],
  /** Give the pipes among standard input, output and error to `uid`, so that it can open /dev/stdin, /dev/stdout and /dev/stderr. */
  stdio: [70, { uid: 'u32' }],
} as const satisfies Record<string, readonly [code: number, fields: Readonly<Record<string, FieldType>>]>;

export type OperationName = keyof typeof OPERATIONS;

/** The fields of one operation. */
export type OperationFields<Name extends OperationName> = {
  readonly [Field in keyof (typeof OPERATIONS)[Name][1]]: FieldTypes[(typeof OPERATIONS)[Name][1][Field] & FieldType];
};

/** One step of a plan: an operation, its fields, and the JSON pointer of the property that asked for it ('' if none did). */
export type Operation = {
  readonly [Name in OperationName]: { readonly op: Name; readonly pointer: string } & OperationFields<Name>;
}[OperationName];

/** What create carries out, in order. */
export interface Plan {
  readonly operations: readonly Operation[];
}

/** Bits of `clone.create`, linux/sched.h. */
export const CLONE = {
  time: 0x00000080,
  mount: 0x00020000,
  cgroup: 0x02000000,
  uts: 0x04000000,
  ipc: 0x08000000,
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
} as const;

/** Mount attributes of mount_setattr(2). */
export const ATTR = {
  rdonly: 0x1n,
  nosuid: 0x2n,
  nodev: 0x4n,
  noexec: 0x8n,
  /** The whole atime field; clearing it is required to change it. */
  atime: 0x70n,
  relatime: 0x0n,
  noatime: 0x10n,
  strictatime: 0x20n,
  nodiratime: 0x80n,
  nosymfollow: 0x200000n,
} as const;

/** Propagation bits of mount(2). */
export const MS = { rec: 0x4000, unbindable: 0x20000, private: 0x40000, slave: 0x80000, shared: 0x100000 } as const;
