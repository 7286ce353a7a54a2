/** Where the container's cgroups are, and the operations that make and limit them (config-linux.md, Control groups). */
import { StrataError } from '../base/error.ts';
import type { HostFacts } from '../host/facts.ts';
import type { CgroupName } from '../host/host.ts';
import { cleanPath } from '../spec/refuse.ts';
import type { Resources, Spec } from '../spec/types.ts';
import type { Operation } from './op.ts';
import { resourceOperations } from './resources.ts';

/** One cgroup of the container. */
export interface CgroupPlace {
  /** Mount point of the hierarchy. */
  readonly hierarchy: string;
  /** The cgroup below it, absolute and clean. */
  readonly path: string;
  /** Both together: the directory on the host. */
  readonly directory: string;
  /** What the hierarchy controls; `name=systemd` for a v1 hierarchy without controllers. */
  readonly controllers: readonly string[];
  /** Is it the v2 hierarchy? */
  readonly unified: boolean;
}

const POINTER = '/linux/cgroupsPath';
/** The container's cgroup in its scope, named as crun does: what is in the scope itself is systemd's to write. */
export const IN_SCOPE = 'container';

/**
 * The container's cgroup in every hierarchy that is mounted: v1 first, then v2. An absolute `cgroupsPath` lies below the hierarchy's mount
 * point, and so does a relative one: nesting below the caller's cgroup, as some do, would make the place depend on who calls. Without one it is
 * `/strata-ID`.
 *
 * @throws StrataError `config-invalid` for the root cgroup.
 */
export function cgroupPaths(spec: Spec, id: string, facts: HostFacts): CgroupPlace[] {
  const { hierarchies, unified, below = 'root', scope } = facts.cgroup;
  if (scope !== undefined) return unified === undefined ? [] : [place(unified.mount, `${scope}/${IN_SCOPE}`, unified.controllers, true)];
  const path = cgroupPath(spec.linux.cgroupsPath, id);
  const at = (own: string): string => (below === 'root' || own === '/' ? path : own + path);
  const places = hierarchies.map(({ mount, controllers, own }) => place(mount, at(own), controllers, false));
  if (unified !== undefined) places.push(place(unified.mount, at(unified.own), unified.controllers, true));
  return places;
}

/** The same for cgroups that a container has already, in this order. One whose hierarchy is not mounted any more is left out. */
export function knownPlaces(cgroups: readonly CgroupName[], facts: HostFacts): CgroupPlace[] {
  const { hierarchies, unified } = facts.cgroup;
  return cgroups.flatMap(({ hierarchy, path }) => {
    const found = hierarchies.find(({ mount }) => mount === hierarchy);
    if (found !== undefined) return [place(hierarchy, path, found.controllers, false)];
    return unified?.mount === hierarchy ? [place(hierarchy, path, unified.controllers, true)] : [];
  });
}

/** All cgroups that the container's processes are in: besides those of its own, the runtime's, in hierarchies where it may make none. */
export function inheritedPlaces(places: readonly CgroupPlace[], { cgroup }: HostFacts): readonly CgroupPlace[] {
  if (cgroup.forbidden === undefined) return places;
  return places.concat(cgroup.forbidden.map((item) => place(item.mount, item.own === '/' ? '' : item.own, item.controllers, 'weightFile' in item)));
}

function cgroupPath(asked: string | undefined, id: string): string {
  if (asked === undefined || asked === '') return `/strata-${id}`;
  const path = cleanPath(asked);
  if (path !== '/') return path;
  const reason = 'must not be the root cgroup: its limits would be those of the whole machine';
  throw new StrataError({ code: 'config-invalid', stage: 'plan', pointer: POINTER, reason });
}

function place(hierarchy: string, path: string, controllers: readonly string[], unified: boolean): CgroupPlace {
  return { hierarchy, path, directory: hierarchy + path, controllers, unified };
}

/** Make every cgroup, then write its limits: all before the clone, so that no process of the container is ever without them. */
export function cgroupOperations(spec: Spec, places: readonly CgroupPlace[], facts: HostFacts): Operation[] {
  const limits = resourceOperations(spec.linux.resources, places, facts);
  const at = spec.linux.cgroupsPath === undefined ? '' : POINTER;
  const make = places.map((item): Operation => {
    const controllers = item.unified ? limiting(item, limits) : [];
    // On pure v2 root gets every controller, because engines read the statistics of all: those that nothing is asked of need not be had.
    const gets = item.unified && facts.cgroup.mode === 'v2' && facts.cgroup.forbidden === undefined;
    const others = gets ? item.controllers.filter((name) => !controllers.includes(name)) : [];
    const cpuset = !item.unified && item.controllers.includes('cpuset');
    return { op: 'cgroup-make', pointer: at, hierarchy: item.hierarchy, path: item.path, controllers, others, cpuset };
  });
  return [...make, ...limits];
}

/** Those of the controllers whose files are written. */
function limiting(item: CgroupPlace, limits: readonly Operation[]): readonly string[] {
  const prefix = `${item.directory}/`;
  return item.controllers.filter((name) => limits.some((limit) => limit.op === 'cgroup-write' && limit.path.startsWith(`${prefix}${name}.`)));
}

/** How the container's processes come into its cgroups. */
export interface Entrance {
  /** The v2 directory for CLONE_INTO_CGROUP, '' without a v2 hierarchy. */
  readonly cgroup: string;
  /** The files that a process writes to to move itself. */
  readonly tasks: readonly string[];
}

/**
 * Into v2 by birth, into v1 by a move: `tasks`, not `cgroup.procs`, because the single-threaded child moves itself without the wait that moving a
 * thread group costs. Where no task may be born v2 is moved into as well: the kernel's limit of tasks is on births alone.
 */
export function entrance(places: readonly CgroupPlace[], { pids, unified }: Resources): Entrance {
  const tasks = places.filter((item) => !item.unified).map((item) => `${item.directory}/tasks`);
  const directory = places.find((item) => item.unified)?.directory ?? '';
  const isBarred = (unified['pids.max'] ?? `${pids?.limit ?? ''}`) === '0';
  if (directory === '' || !isBarred) return { cgroup: directory, tasks };
  return { cgroup: '', tasks: tasks.concat(`${directory}/cgroup.procs`) };
}
