/** Containers of ordinary users, and of the root of a user namespace: what takes the place of the rights that they lack. */
import { StrataError } from '../base/error.ts';
import type { Hierarchy, HostFacts } from '../host/facts.ts';
import { mayAdminister } from '../host/facts.ts';
import type { Host } from '../host/host.ts';
import { type CgroupPlace, cgroupPaths } from '../plan/cgroup.ts';
import type { Caller } from '../plan/context.ts';
import { checkUnprivileged } from '../spec/check-unprivileged.ts';
import { findNamespace } from '../spec/refuse.ts';
import type { Spec } from '../spec/types.ts';
import { ERRNO } from './fault.ts';

/** `--rootless`: may a container go without the cgroups that the caller cannot make? `auto`: if the caller is not the machine's root. */
export type Rootless = 'true' | 'false' | 'auto';

/** Where the set-uid helpers are when PATH does not tell. */
const USUAL_DIRECTORIES = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin'];

/** Who creates the container, if it is somebody whose only rights are those that a user namespace of the container's brings; else undefined. */
export function callerOf(host: Host, spec: Spec, facts: HostFacts): Caller | undefined {
  if (mayAdminister(facts) || findNamespace(spec, 'user') === undefined) return undefined;
  const gid = groupId(host);
  checkUnprivileged(spec, gid);
  return { uid: facts.userId, gid, newuidmap: findHelper(host, 'newuidmap'), newgidmap: findHelper(host, 'newgidmap') };
}

/** @throws StrataError `config-invalid` if the container has no namespaces that would give an ordinary user the rights to make it. */
export function checkRights(spec: Spec, facts: HostFacts): void {
  if (mayAdminister(facts)) return;
  for (const type of ['user', 'mount'] as const) {
    if (findNamespace(spec, type) !== undefined) continue;
    throw new StrataError({
      code: 'config-invalid',
      stage: 'check',
      pointer: '/linux/namespaces',
      reason: `a container that is not root's needs a namespace of type ${type}`,
      errno: ERRNO.EPERM,
      hint: 'strata spec --rootless writes such a configuration',
    });
  }
}

/** The effective group id, proc_pid_status(5). */
export function groupId(host: Host): number {
  const match = /^Gid:\s+\d+\s+(\d+)/m.exec(host.readText('/proc/self/status'));
  return Number(match?.[1] ?? 0);
}

/** The path of a program, '' if there is none. */
export function findHelper(host: Host, name: string): string {
  const search = (host.environment('PATH') ?? '').split(':').filter((directory) => directory.startsWith('/'));
  for (const directory of [...search, ...USUAL_DIRECTORIES]) {
    const path = `${directory}/${name}`;
    if (typeOf(host, path) === 'file' || typeOf(host, path) === 'symlink') return path;
  }
  return '';
}

/** What lies there, if the caller may look at all. */
function typeOf(host: Host, path: string): string | undefined {
  return attempt(() => host.stat(path)?.type);
}

function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof StrataError && error.errno !== undefined) return undefined;
    throw error;
  }
}

/**
 * The facts with only those hierarchies in which the caller may make the container's cgroup: in the others its processes stay with the runtime. Without
 * a `cgroupsPath` the place is below the caller's own cgroup, which may have been given to him.
 *
 * @throws StrataError `system` if there is a `cgroupsPath`, and no hierarchy where it can be made.
 */
export function withinReach(host: Host, spec: Spec, id: string, facts: HostFacts, rootless: Rootless): HostFacts {
  if (rootless === 'false' || (rootless === 'auto' && facts.userId === 0 && !facts.userNamespace)) return facts;
  const asked = spec.linux.cgroupsPath ?? '';
  const { mode, hierarchies, unified } = facts.cgroup;
  const below = asked === '' ? 'own' : 'root';
  const places = cgroupPaths(spec, id, { ...facts, cgroup: { ...facts.cgroup, below } });
  const forbidden: Hierarchy[] = [];
  const reached = (hierarchy: Hierarchy): boolean => {
    const place = places.find((item) => item.hierarchy === hierarchy.mount);
    const reaches = place !== undefined && mayMake(host, place, facts.userId);
    if (!reaches) forbidden.push(hierarchy);
    return reaches;
  };
  const kept = hierarchies.filter(reached);
  const keepsUnified = unified !== undefined && reached(unified);
  if (asked !== '' && places.length > 0 && kept.length === 0 && !keepsUnified) {
    throw new StrataError({
      code: 'system',
      stage: 'cgroup',
      pointer: '/linux/cgroupsPath',
      reason: `cannot make the cgroup ${asked} in any hierarchy`,
      errno: ERRNO.EACCES,
      hint: 'without a cgroupsPath, and without limits, a container needs none',
    });
  }
  return { ...facts, cgroup: { mode, hierarchies: kept, ...(keepsUnified && { unified }), below, forbidden } };
}

/** Whether the caller may make the cgroup, or, if it is there, put processes into it. Only a refusal by the owner and the mode is foreseen. */
function mayMake(host: Host, { hierarchy, directory, unified }: CgroupPlace, uid: number): boolean {
  if (isWritable(host, directory, uid) === true) return isWritable(host, `${directory}/${unified ? 'cgroup.procs' : 'tasks'}`, uid) === true;
  for (let path = directory; path.length >= hierarchy.length; path = path.slice(0, path.lastIndexOf('/'))) {
    const writable = isWritable(host, path, uid);
    if (writable !== undefined) return writable;
  }
  return false;
}

/** undefined if nothing is there. */
function isWritable(host: Host, path: string, uid: number): boolean | undefined {
  const status = attempt(() => host.stat(path));
  return status && ((status.uid === uid && (status.mode & 0o200) !== 0) || (status.mode & 0o002) !== 0);
}

/** What of the configuration is not in force for a container that is not the machine's root's, and harmless enough to go on without. */
export function rootlessWarnings({ linux }: Spec, facts: HostFacts): readonly string[] {
  if (mayAdminister(facts) && !facts.userNamespace) return [];
  if (!linux.resources.devices.some(({ allow }) => !allow)) return [];
  return ["/linux/resources/devices is not in force: only the machine's root can limit access to devices beyond their permissions"];
}
