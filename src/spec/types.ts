/**
 * The OCI runtime specification's configuration for Linux, names verbatim (runtime-spec 1.3.0, config.md and config-linux.md).
 * Properties whose range exceeds 2^53 are `bigint`, so that they are exact; all others are `number`.
 * What a {@link Spec} holds has passed `parse`: types and ranges are right; `check` looks at what properties mean together.
 */

export interface Spec {
  readonly ociVersion: string;
  readonly root: Root;
  readonly process?: Process;
  readonly hostname?: string;
  readonly domainname?: string;
  readonly mounts: readonly Mount[];
  readonly hooks: Hooks;
  readonly annotations: Readonly<Record<string, string>>;
  readonly linux: Linux;
}

export interface Root {
  /** Absolute, or relative to the bundle. */
  readonly path: string;
  readonly readonly: boolean;
}

export interface Process {
  readonly terminal: boolean;
  /** Characters. */
  readonly consoleSize?: { readonly height: number; readonly width: number };
  readonly cwd: string;
  readonly env: readonly string[];
  readonly args: readonly string[];
  readonly user: User;
  readonly capabilities?: Capabilities;
  readonly rlimits: readonly Rlimit[];
  readonly noNewPrivileges: boolean;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
  /** -1000 to 1000. */
  readonly oomScoreAdj?: number;
  readonly scheduler?: Scheduler;
  readonly ioPriority?: IoPriority;
  /** For exec only: lists of CPUs, such as `0-3,7`. */
  readonly execCPUAffinity?: { readonly initial?: string; readonly final?: string };
}

export interface User {
  readonly uid: number;
  readonly gid: number;
  /** 0 to 0o777. */
  readonly umask?: number;
  readonly additionalGids: readonly number[];
}

export const CAPABILITY_SETS = ['bounding', 'effective', 'inheritable', 'permitted', 'ambient'] as const;
export type CapabilitySet = (typeof CAPABILITY_SETS)[number];
/** Names such as `CAP_CHOWN`; an absent set is empty. */
export type Capabilities = Readonly<Record<CapabilitySet, readonly string[]>>;

export interface Rlimit {
  /** `RLIMIT_NOFILE` and so on, getrlimit(2). */
  readonly type: string;
  readonly soft: bigint;
  readonly hard: bigint;
}

export interface Scheduler {
  /** `SCHED_…`. */
  readonly policy: string;
  readonly nice: number;
  readonly priority: number;
  /** `SCHED_FLAG_…`. */
  readonly flags: readonly string[];
  /** Nanoseconds. */
  readonly runtime: bigint;
  readonly deadline: bigint;
  readonly period: bigint;
}

export interface IoPriority {
  /** `IOPRIO_CLASS_…`. */
  readonly class: string;
  /** 0 to 7. */
  readonly priority: number;
}

export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface Mount {
  readonly destination: string;
  readonly type?: string;
  readonly source?: string;
  readonly options: readonly string[];
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
}

export const HOOK_KINDS = ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'] as const;
export type HookKind = (typeof HOOK_KINDS)[number];
export type Hooks = Readonly<Record<HookKind, readonly Hook[]>>;

export interface Hook {
  /** Absolute. */
  readonly path: string;
  /** argv, `args[0]` included; empty means `[path]`. */
  readonly args: readonly string[];
  /** Absent means the runtime's own. */
  readonly env?: readonly string[];
  /** Seconds, at least 1. */
  readonly timeout?: number;
}

export const NAMESPACE_TYPES = ['user', 'cgroup', 'ipc', 'uts', 'network', 'pid', 'mount', 'time'] as const;
export type NamespaceType = (typeof NAMESPACE_TYPES)[number];

export interface Namespace {
  readonly type: NamespaceType;
  /** Absolute path of a namespace to join; absent for a new one. */
  readonly path?: string;
}

type Propagation = 'private' | 'shared' | 'slave' | 'unbindable';
/** With an r: of all mounts of the container, not of its root alone. */
export type RootfsPropagation = Propagation | `r${Propagation}`;

export interface Linux {
  readonly namespaces: readonly Namespace[];
  readonly uidMappings: readonly IdMapping[];
  readonly gidMappings: readonly IdMapping[];
  readonly timeOffsets?: Readonly<Partial<Record<'monotonic' | 'boottime', TimeOffset>>>;
  readonly devices: readonly Device[];
  /** By the name that the host knows. */
  readonly netDevices?: Readonly<Record<string, { readonly name?: string }>>;
  readonly cgroupsPath?: string;
  readonly resources: Resources;
  readonly sysctl: Readonly<Record<string, string>>;
  readonly seccomp?: Seccomp;
  readonly rootfsPropagation?: RootfsPropagation;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly mountLabel?: string;
  readonly intelRdt?: IntelRdt;
  readonly memoryPolicy?: MemoryPolicy;
  readonly personality?: { readonly domain: 'LINUX' | 'LINUX32'; readonly flags: readonly string[] };
}

export interface MemoryPolicy {
  /** `MPOL_…`. */
  readonly mode: string;
  /** A list of nodes such as `0-3,7`. */
  readonly nodes?: string;
  /** `MPOL_F_…`. */
  readonly flags: readonly string[];
}

export interface IntelRdt {
  /** A class of service by its name below the resctrl mount; `/` is the root's. Absent: one of the container's own, named after it. */
  readonly closID?: string;
  /** Lines for the class's `schemata`, written behind the two below. */
  readonly schemata: readonly string[];
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
  readonly enableMonitoring: boolean;
}

export interface TimeOffset {
  readonly secs: bigint;
  readonly nanosecs: number;
}

export interface Device {
  readonly type: 'c' | 'b' | 'u' | 'p';
  readonly path: string;
  /** 0 for a fifo. */
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly fileMode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export interface Resources {
  readonly devices: readonly DeviceRule[];
  readonly memory?: Memory;
  readonly cpu?: Cpu;
  /** -1 is no limit. */
  readonly pids?: { readonly limit?: bigint };
  readonly blockIO?: BlockIO;
  readonly hugepageLimits: readonly HugepageLimit[];
  readonly network?: { readonly classID?: number; readonly priorities: readonly { readonly name: string; readonly priority: number }[] };
  /** By device, such as `mlx5_1`. */
  readonly rdma?: Readonly<Record<string, { readonly hcaHandles?: number; readonly hcaObjects?: number }>>;
  /** cgroup v2 file name to value. */
  readonly unified: Readonly<Record<string, string>>;
}

export interface DeviceRule {
  readonly allow: boolean;
  /** Absent is `a`. */
  readonly type?: 'a' | 'c' | 'b';
  /** Absent is every number. */
  readonly major?: number;
  readonly minor?: number;
  /** Some of `rwm`; absent is all. */
  readonly access?: string;
}

/** Bytes; -1 is no limit. */
export interface Memory {
  readonly limit?: bigint;
  readonly reservation?: bigint;
  /** Memory plus swap. */
  readonly swap?: bigint;
  readonly kernel?: bigint;
  readonly kernelTCP?: bigint;
  /** 0 to 100. */
  readonly swappiness?: bigint;
  readonly disableOOMKiller?: boolean;
  readonly useHierarchy?: boolean;
  readonly checkBeforeUpdate?: boolean;
}

/** Times are microseconds. */
export interface Cpu {
  readonly shares?: bigint;
  readonly quota?: bigint;
  readonly burst?: bigint;
  readonly period?: bigint;
  readonly realtimeRuntime?: bigint;
  readonly realtimePeriod?: bigint;
  readonly cpus?: string;
  readonly mems?: string;
  readonly idle?: bigint;
}

export interface BlockIO {
  readonly weight?: number;
  readonly leafWeight?: number;
  readonly weightDevice: readonly { readonly major: number; readonly minor: number; readonly weight?: number; readonly leafWeight?: number }[];
  /** Bytes a second. */
  readonly throttleReadBpsDevice: readonly Throttle[];
  readonly throttleWriteBpsDevice: readonly Throttle[];
  /** Operations a second. */
  readonly throttleReadIOPSDevice: readonly Throttle[];
  readonly throttleWriteIOPSDevice: readonly Throttle[];
}

export interface Throttle {
  readonly major: number;
  readonly minor: number;
  readonly rate: bigint;
}

export interface HugepageLimit {
  /** `2MB`. */
  readonly pageSize: string;
  /** Bytes. */
  readonly limit: bigint;
}

export interface Seccomp {
  /** `SCMP_ACT_…`. */
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  /** `SCMP_ARCH_…`. */
  readonly architectures: readonly string[];
  /** `SECCOMP_FILTER_FLAG_…`. */
  readonly flags: readonly string[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls: readonly SeccompRule[];
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args: readonly SeccompArg[];
}

export interface SeccompArg {
  /** 0 to 5. */
  readonly index: number;
  readonly value: bigint;
  readonly valueTwo: bigint;
  /** `SCMP_CMP_…`. */
  readonly op: string;
}
