/** What the machine offers and what this process may do: read once, then plain data, so that checking and planning stay pure. */
import { StrataError } from '../base/error.ts';
import type { Host } from './host.ts';

export interface HostFacts {
  readonly kernel: Kernel;
  readonly cgroup: CgroupFacts;
  /** The highest capability number the kernel knows. */
  readonly lastCapability: number;
  /** Permitted capabilities of this process; bit n is capability n. */
  readonly permitted: bigint;
  /** Its bounding set. */
  readonly bounding: bigint;
  /** Its effective user id. */
  readonly userId: number;
  /** Is it in a user namespace other than the machine's first? Then root is not root on the host. */
  readonly userNamespace: boolean;
  /** {@link readSecurity}, for configurations that have labels. */
  readonly security?: SecurityFacts;
  /** {@link readMemoryNodes}, for configurations that have a memory policy. */
  readonly memoryNodes?: string;
  /** {@link readDelegate}, for configurations that let the container manage its cgroup. */
  readonly delegate?: readonly string[];
  /** {@link readRdt}, for configurations with a class of service; undefined if resctrl is not mounted. */
  readonly rdt?: RdtFacts;
}

export interface RdtFacts {
  /** Where resctrl is mounted. */
  readonly mount: string;
  /** The `schemata` of the class that the configuration names; undefined if there is no such class. */
  readonly schemata?: string;
}

/** Which security modules the kernel enforces labels of. */
export interface SecurityFacts {
  readonly apparmor: boolean;
  readonly selinux: boolean;
}

export interface Kernel {
  readonly major: number;
  readonly minor: number;
  /** As uname(2) tells it, such as `6.1.0-18-amd64`. */
  readonly release: string;
}

export interface CgroupFacts {
  /** `hybrid`: cgroup v1 hierarchies, and a v2 hierarchy beside them. */
  readonly mode: 'v1' | 'hybrid' | 'v2' | 'none';
  /** The v1 hierarchies that are mounted. */
  readonly hierarchies: readonly Hierarchy[];
  /** The v2 hierarchy, if mounted. */
  readonly unified?: Unified;
  /** Below which cgroup a container's is made when the configuration names none: the root of the hierarchy, as for root, or the runtime's own. */
  readonly below?: 'root' | 'own';
  /** The cgroup of the scope that systemd makes for the container, on v2: the container's own lies in it. Absent where strata makes it all. */
  readonly scope?: string;
  /** Hierarchies that are mounted too, but in which this process may not make the container's cgroup. Absent: all may be used. */
  readonly forbidden?: readonly Hierarchy[];
}

export interface Hierarchy {
  /** `['cpu', 'cpuacct']`; a hierarchy without controllers has its name instead, `['name=systemd']`. */
  readonly controllers: readonly string[];
  /** Mount point. */
  readonly mount: string;
  /** The cgroup of this process, as a path below `mount`. */
  readonly own: string;
}

export interface Unified extends Hierarchy {
  /** The file that takes a block I/O weight: it depends on the scheduler that the kernel was built with. */
  readonly weightFile: 'io.weight' | 'io.bfq.weight';
}

const LIMIT = 64 * 1024 * 1024;

/**
 * Reads the facts from /proc and /sys. Needs no privilege.
 *
 * @throws StrataError `system` when /proc is not mounted, `internal` when one of its files has a form unknown to us.
 */
export function readFacts(host: Host): HostFacts {
  return {
    kernel: parseRelease(host.readText('/proc/sys/kernel/osrelease')),
    cgroup: readCgroups(host),
    ...readCapabilities(host),
    userId: host.userId(),
    userNamespace: isInUserNamespace(host),
  };
}

/** The part of the facts that a process's rights depend on. */
export function readCapabilities(host: Host): Pick<HostFacts, 'lastCapability' | 'permitted' | 'bounding'> {
  const status = host.readText('/proc/self/status');
  return {
    lastCapability: Number.parseInt(host.readText('/proc/sys/kernel/cap_last_cap'), 10),
    permitted: statusSet(status, 'CapPrm'),
    bounding: statusSet(status, 'CapBnd'),
  };
}

/** The number of CAP_SYS_ADMIN. */
const SYS_ADMIN = 21n;

/** May this process make namespaces and mounts, and join others? Else only in a user namespace of its own. */
export function mayAdminister({ permitted }: Pick<HostFacts, 'permitted'>): boolean {
  return ((permitted >> SYS_ADMIN) & 1n) !== 0n;
}

/** user_namespaces(7): the first one maps every id to itself. */
export function isInUserNamespace(host: Host): boolean {
  return !/^\s*0\s+0\s+4294967295\s*$/.test(host.readText('/proc/self/uid_map'));
}

/** Milliseconds for which facts are believed: a library that creates many containers reads them once for all of a burst. */
const LIFETIME = 1000;
const known = new WeakMap<Host, { readonly facts: HostFacts; readonly until: number }>();

/** The same, but not read again within a second. */
export function recentFacts(host: Host): HostFacts {
  const last = known.get(host);
  const now = host.now();
  if (last !== undefined && now < last.until) return last.facts;
  const facts = readFacts(host);
  known.set(host, { facts, until: now + LIFETIME });
  return facts;
}

/** Few configurations have labels, so {@link readFacts} does not look. */
export function readSecurity(host: Host): SecurityFacts {
  const parameter = '/sys/module/apparmor/parameters/enabled';
  return {
    apparmor: host.stat(parameter) !== undefined && host.readText(parameter).startsWith('Y'),
    // In a directory that the kernel makes only for this mount.
    selinux: host.stat('/sys/fs/selinux/enforce') !== undefined,
  };
}

/** What cgroups(7) says if the kernel does not. */
const DELEGATED = ['cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads'];

/** The files of a v2 cgroup that go to whom the cgroup is delegated to. */
export function readDelegate(host: Host): readonly string[] {
  const path = '/sys/kernel/cgroup/delegate';
  return host.stat(path) === undefined ? DELEGATED : host.readText(path).split('\n').filter(Boolean);
}

/** `name`: of the class of service, `/` for the root's. */
export function readRdt(host: Host, name: string): RdtFacts | undefined {
  const line = /^\S+ \S+ \S+ \/ (\S+) [^\n]* - resctrl /m.exec(host.readText('/proc/self/mountinfo', LIMIT));
  if (line === null) return undefined;
  const mount = unescapeOctal(line[1] as string);
  const directory = name === '/' ? mount : `${mount}/${name}`;
  return { mount, ...(host.stat(directory) !== undefined && { schemata: host.readText(`${directory}/schemata`) }) };
}

/** The nodes that have memory, such as `0-1`; undefined if the kernel was built without NUMA. */
export function readMemoryNodes(host: Host): string | undefined {
  const path = '/sys/devices/system/node/has_memory';
  return host.stat(path) === undefined ? undefined : host.readText(path).trim();
}

/** Is this kernel at least `major.minor`? */
export function isAtLeast(kernel: Kernel, major: number, minor: number): boolean {
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

function parseRelease(text: string): Kernel {
  const release = text.trim();
  const match = /^(\d+)\.(\d+)/.exec(release);
  if (match === null) throw new StrataError({ code: 'internal', stage: 'check', reason: `the kernel's release '${release}' is not a version` });
  return { major: Number(match[1]), minor: Number(match[2]), release };
}

/** A set of capabilities in /proc/PID/status. */
function statusSet(status: string, key: string): bigint {
  const before = `\n${key}:\t`;
  const at = status.indexOf(before);
  const start = at + before.length;
  const digits = status.slice(start, status.indexOf('\n', start));
  if (at === -1 || !/^[0-9a-f]+$/.test(digits)) {
    throw new StrataError({ code: 'internal', stage: 'check', reason: `/proc/self/status has no ${key}` });
  }
  return BigInt(`0x${digits}`);
}

function readCgroups(host: Host): CgroupFacts {
  const memberships = host.readText('/proc/self/cgroup').split('\n');
  const { named, unified: mounted } = parseMounts(host.readText('/proc/self/mountinfo', LIMIT));
  const hierarchies: Hierarchy[] = [];
  let unified: Unified | undefined;
  // Indexed loops, here and below: in QuickJS an iterator costs more than the work on a line.
  for (let index = 0; index < memberships.length; index++) {
    // cgroups(7): `4:memory:/path`, `0::/path` for v2.
    const line = memberships[index] as string;
    const first = line.indexOf(':');
    const second = line.indexOf(':', first + 1);
    if (second === -1) continue;
    const controllers = line.slice(first + 1, second);
    const path = line.slice(second + 1);
    if (controllers === '') {
      if (mounted !== undefined) unified = readUnified(host, mounted.point, below(mounted.root, path));
      continue;
    }
    const list = controllers.split(',');
    const mount = named.get(list[0] as string);
    if (mount !== undefined) hierarchies.push({ mount: mount.point, own: below(mount.root, path), controllers: list });
  }
  if (unified === undefined) return { mode: hierarchies.length === 0 ? 'none' : 'v1', hierarchies };
  return { mode: hierarchies.length === 0 ? 'v2' : 'hybrid', hierarchies, unified };
}

interface CgroupMount {
  readonly root: string;
  readonly point: string;
}

interface CgroupMounts {
  /** The v1 hierarchies, each under all of its mount's options: `cpu`, `cpuacct`, `name=systemd`, and `xattr`, which nobody asks for. */
  readonly named: ReadonlyMap<string, CgroupMount>;
  /** The v2 hierarchy. */
  readonly unified: CgroupMount | undefined;
}

/** The cgroup mounts of /proc/PID/mountinfo, proc_pid_mountinfo(5). A host may have thousands of other lines: look only at these. */
function parseMounts(text: string): CgroupMounts {
  const named = new Map<string, CgroupMount>();
  let unified: CgroupMount | undefined;
  for (let at = text.indexOf(' - cgroup'); at !== -1; at = text.indexOf(' - cgroup', at + 1)) {
    const newline = text.indexOf('\n', at);
    // Behind the separator: type, source, options of the file system. Before it: two numbers, the device, root and mount point.
    const system = text.slice(at + 3, newline === -1 ? text.length : newline).split(' ');
    const type = system[0];
    if (type !== 'cgroup' && type !== 'cgroup2') continue;
    const fields = text.slice(text.lastIndexOf('\n', at) + 1, at).split(' ', 5);
    const mount = { root: unescapeOctal(fields[3] ?? '/'), point: unescapeOctal(fields[4] ?? '') };
    if (type === 'cgroup2') {
      unified = better(unified, mount);
      continue;
    }
    const options = (system[2] ?? '').split(',');
    // The first says whether it can be written to.
    for (let index = 1; index < options.length; index++) {
      const option = options[index] as string;
      named.set(option, better(named.get(option), mount));
    }
  }
  return { named, unified };
}

/** A hierarchy may be mounted at several places: the first in /sys/fs/cgroup is everybody's, or else the first. */
function better(known: CgroupMount | undefined, mount: CgroupMount): CgroupMount {
  return known === undefined || (isUsual(mount.point) && !isUsual(known.point)) ? mount : known;
}

function isUsual(point: string): boolean {
  return point === '/sys/fs/cgroup' || point.startsWith('/sys/fs/cgroup/');
}

/** The cgroup `path` as seen through a mount whose root is the cgroup `root`. */
function below(root: string, path: string): string {
  if (root === '/') return path;
  if (path === root) return '/';
  return path.startsWith(`${root}/`) ? path.slice(root.length) : path;
}

function unescapeOctal(text: string): string {
  return text.includes('\\') ? text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))) : text;
}

function readUnified(host: Host, mount: string, own: string): Unified {
  const text = host.readText(`${mount}/cgroup.controllers`).trim();
  const controllers = text === '' ? [] : text.split(' ');
  const bfq = controllers.includes('io') && host.stat(`${mount}${probe(own)}/io.bfq.weight`) !== undefined;
  return { mount, own, controllers, weightFile: bfq ? 'io.bfq.weight' : 'io.weight' };
}

/** The root cgroup has no weight; any other cgroup shows which file the kernel has, if the I/O controller works in it. */
function probe(own: string): string {
  return own === '/' ? '/init.scope' : own;
}

/**
 * The facts with the right file for a block I/O weight also where the I/O controller works in no cgroup that we know. For those who ask for a weight.
 */
export function withWeightFile(host: Host, facts: HostFacts): HostFacts {
  const { unified } = facts.cgroup;
  if (unified === undefined || unified.weightFile === 'io.bfq.weight' || !unified.controllers.includes('io')) return facts;
  if (host.stat(`${unified.mount}${probe(unified.own)}/io.stat`) !== undefined || host.stat('/sys/block') === undefined) return facts;
  // A disk names the schedulers that it could have.
  const files = host.list('/sys/block').map((name) => `/sys/block/${name}/queue/scheduler`);
  const bfq = files.some((file) => host.stat(file) !== undefined && /\bbfq\b/.test(host.readText(file)));
  return bfq ? { ...facts, cgroup: { ...facts.cgroup, unified: { ...unified, weightFile: 'io.bfq.weight' } } } : facts;
}
