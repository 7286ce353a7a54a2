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
  const status = host.readText('/proc/self/status');
  return {
    kernel: parseRelease(host.readText('/proc/sys/kernel/osrelease')),
    cgroup: readCgroups(host),
    lastCapability: Number.parseInt(host.readText('/proc/sys/kernel/cap_last_cap'), 10),
    permitted: statusSet(status, 'CapPrm'),
    bounding: statusSet(status, 'CapBnd'),
    userId: host.userId(),
  };
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

function statusSet(status: string, key: string): bigint {
  const match = new RegExp(`^${key}:\\s*([0-9a-f]+)$`, 'm').exec(status);
  if (match === null) throw new StrataError({ code: 'internal', stage: 'check', reason: `/proc/self/status has no ${key}` });
  return BigInt(`0x${match[1]}`);
}

function readCgroups(host: Host): CgroupFacts {
  const owns = parseMembership(host.readText('/proc/self/cgroup'));
  const mounts = parseMounts(host.readText('/proc/self/mountinfo', LIMIT));
  const hierarchies: Hierarchy[] = [];
  let unified: Unified | undefined;
  for (const { controllers, path } of owns) {
    const isUnified = controllers.length === 0;
    const found = best(
      mounts.filter((mount) => (isUnified ? mount.type === 'cgroup2' : mount.type === 'cgroup' && mount.options.includes(controllers[0] ?? ''))),
    );
    if (found === undefined) continue;
    const place = { mount: found.point, own: below(found.root, path) };
    if (isUnified) unified = { ...place, ...readUnified(host, place.mount, place.own) };
    else hierarchies.push({ ...place, controllers });
  }
  const base = { hierarchies, ...(unified === undefined ? {} : { unified }) };
  if (hierarchies.length === 0) return { mode: unified === undefined ? 'none' : 'v2', ...base };
  return { mode: unified === undefined ? 'v1' : 'hybrid', ...base };
}

/** Lines of /proc/PID/cgroup, cgroups(7): `4:memory:/path`, `0::/path` for v2. */
function parseMembership(text: string): { controllers: string[]; path: string }[] {
  const out: { controllers: string[]; path: string }[] = [];
  for (const line of text.split('\n')) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (match === null) continue;
    const [, names = '', path = '/'] = match;
    out.push({ controllers: names === '' ? [] : names.split(','), path });
  }
  return out;
}

interface CgroupMount {
  readonly type: 'cgroup' | 'cgroup2';
  readonly root: string;
  readonly point: string;
  readonly options: readonly string[];
}

/** The cgroup mounts of /proc/PID/mountinfo, proc_pid_mountinfo(5). A host may have thousands of other lines: look only at these. */
function parseMounts(text: string): CgroupMount[] {
  const out: CgroupMount[] = [];
  for (let at = text.indexOf(' - cgroup'); at !== -1; at = text.indexOf(' - cgroup', at + 1)) {
    const start = text.lastIndexOf('\n', at) + 1;
    const newline = text.indexOf('\n', at);
    const [type, , options = ''] = text.slice(at + 3, newline === -1 ? text.length : newline).split(' ');
    const [, , , root = '/', point = ''] = text.slice(start, at).split(' ');
    if (type === 'cgroup' || type === 'cgroup2')
      out.push({ type, root: unescapeOctal(root), point: unescapeOctal(point), options: options.split(',') });
  }
  return out;
}

/** A hierarchy may be mounted at several places: the one in /sys/fs/cgroup is everybody's. */
function best(mounts: readonly CgroupMount[]): CgroupMount | undefined {
  return mounts.find((mount) => mount.point === '/sys/fs/cgroup' || mount.point.startsWith('/sys/fs/cgroup/')) ?? mounts[0];
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

function readUnified(host: Host, mount: string, own: string): { controllers: readonly string[]; weightFile: Unified['weightFile'] } {
  const controllers = host
    .readText(`${mount}/cgroup.controllers`)
    .split(/\s+/)
    .filter((name) => name !== '');
  // The root cgroup has no weight; any other cgroup shows which file the kernel has.
  const probe = own === '/' ? '/init.scope' : own;
  const bfq = controllers.includes('io') && host.stat(`${mount}${probe}/io.bfq.weight`) !== undefined;
  return { controllers, weightFile: bfq ? 'io.bfq.weight' : 'io.weight' };
}
