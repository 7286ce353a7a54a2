/** Machines and configurations for the plan's tests. */
import { stringifyExact } from '../../../src/base/json.ts';
import type { HostFacts } from '../../../src/host/facts.ts';
import type { PlanContext, PlanOptions } from '../../../src/plan/context.ts';
import { planCreate } from '../../../src/plan/create.ts';
import type { Operation, OperationName } from '../../../src/plan/op.ts';
import { loadSpec } from '../../../src/spec/parse.ts';
import type { Spec } from '../../../src/spec/types.ts';

const KERNEL = { major: 6, minor: 18, release: '6.18.0' };
const ALL_CAPABILITIES = (1n << 41n) - 1n;
const COMMON = { kernel: KERNEL, lastCapability: 40, permitted: ALL_CAPABILITIES, bounding: ALL_CAPABILITIES, userId: 0, userNamespace: false };

const v1 = (...controllers: string[]) => ({ controllers, mount: `/sys/fs/cgroup/${controllers.join(',').replace('name=', '')}`, own: '/' });
const V1_HIERARCHIES = [v1('cpu', 'cpuacct'), v1('cpuset'), v1('memory'), v1('pids'), v1('blkio'), v1('devices'), v1('freezer'), v1('name=systemd')];

/** Every controller in v1. */
export const V1: HostFacts = {
  ...COMMON,
  cgroup: { mode: 'v1', hierarchies: [...V1_HIERARCHIES, v1('hugetlb'), v1('net_cls', 'net_prio')] },
};
/** Most in v1, hugetlb in v2. */
export const HYBRID: HostFacts = {
  ...COMMON,
  cgroup: {
    mode: 'hybrid',
    hierarchies: V1_HIERARCHIES,
    unified: { mount: '/sys/fs/cgroup/unified', own: '/', controllers: ['hugetlb'], weightFile: 'io.weight' },
  },
};
export const V2: HostFacts = {
  ...COMMON,
  cgroup: {
    mode: 'v2',
    hierarchies: [],
    unified: { mount: '/sys/fs/cgroup', own: '/', controllers: ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids'], weightFile: 'io.weight' },
  },
};
export const NO_CGROUPS: HostFacts = { ...COMMON, cgroup: { mode: 'none', hierarchies: [] } };
/** Two hierarchies, to keep a plan short. */
export const SMALL: HostFacts = { ...COMMON, cgroup: { mode: 'v1', hierarchies: [v1('memory'), v1('devices')] } };

const OPTIONS: PlanOptions = { noPivot: false, noNewKeyring: false, listenFds: 0, seccompCache: '/run/strata/.seccomp', seccompProgram: '' };

export function contextOf(facts: HostFacts = SMALL, options: Partial<PlanOptions> = {}): PlanContext {
  return { id: 'c1', bundle: '/bundle', facts, options: { ...OPTIONS, ...options } };
}

/** A small valid configuration; `process` and `linux` are merged one level deep. */
export function specOf(changes: Record<string, unknown> = {}): Spec {
  const { process = {}, linux = {}, ...rest } = changes as { process?: object | null; linux?: object };
  const config = {
    ociVersion: '1.3.0',
    root: { path: 'rootfs' },
    ...(process === null ? {} : { process: { cwd: '/', args: ['/bin/true'], user: { uid: 0, gid: 0 }, ...process } }),
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'network' }], ...linux },
    ...rest,
  };
  return loadSpec(stringifyExact(config));
}

/** The operations planned for a configuration. */
export function plan(changes: Record<string, unknown> = {}, facts: HostFacts = SMALL, options: Partial<PlanOptions> = {}): readonly Operation[] {
  return planCreate(specOf(changes), contextOf(facts, options)).operations;
}

/** Those of one kind. */
export function only<Name extends OperationName>(operations: readonly Operation[], name: Name): Extract<Operation, { op: Name }>[] {
  return operations.filter((operation): operation is Extract<Operation, { op: Name }> => operation.op === name);
}

export function names(operations: readonly Operation[]): OperationName[] {
  return operations.map(({ op }) => op);
}

/** `runc spec`, as it writes it. */
export const RUNC_SPEC = {
  ociVersion: '1.0.2-dev',
  process: {
    terminal: true,
    user: { uid: 0, gid: 0 },
    args: ['sh'],
    env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
    cwd: '/',
    capabilities: {
      bounding: ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'],
      effective: ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'],
      permitted: ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'],
      ambient: ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'],
    },
    rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
    noNewPrivileges: true,
  },
  root: { path: 'rootfs', readonly: true },
  hostname: 'runc',
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] },
  ],
  linux: {
    resources: { devices: [{ allow: false, access: 'rwm' }] },
    namespaces: [{ type: 'pid' }, { type: 'network' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }],
    maskedPaths: ['/proc/acpi', '/proc/kcore', '/sys/firmware'],
    readonlyPaths: ['/proc/bus', '/proc/sys'],
  },
};
