/** Namespaces: new, joined or shared with the caller (config-linux.md, Namespaces). */
import { StrataError } from '../base/error.ts';
import { pointer } from '../base/pointer.ts';
import { mapsOnly } from '../spec/check-unprivileged.ts';
import { findNamespace } from '../spec/refuse.ts';
import { type IdMapping, NAMESPACE_TYPES, type NamespaceType, type Spec } from '../spec/types.ts';
import { type CgroupPlace, entrance } from './cgroup.ts';
import type { Caller } from './context.ts';
import { CLONE, type Operation } from './op.ts';
import type { RdtPlan } from './rdt.ts';

/** Does the container get a namespace of its own, that nobody else is in? */
export function isNew(spec: Spec, type: NamespaceType): boolean {
  const namespace = findNamespace(spec, type);
  return namespace !== undefined && namespace.path === undefined;
}

/** The operations that make the container's first process, in its namespaces and cgroups. `caller`: see {@link Caller}. */
export function cloneOperations(spec: Spec, places: readonly CgroupPlace[], rdt: RdtPlan | undefined, caller: Caller | undefined): Operation[] {
  const { uidMappings, gidMappings } = spec.linux;
  const newUser = isNew(spec, 'user');
  // Whoever may not write a map himself has it written by a program that looks up what he was given.
  const helpers: Operation[] = [];
  if (newUser && caller !== undefined) {
    if (!mapsOnly(uidMappings, caller.uid)) helpers.push(helper('newuidmap', caller.newuidmap, uidMappings, '/linux/uidMappings'));
    if (!mapsOnly(gidMappings, caller.gid)) helpers.push(helper('newgidmap', caller.newgidmap, gidMappings, '/linux/gidMappings'));
  }
  const own = (mappings: readonly IdMapping[], at: string): string =>
    newUser && !helpers.some((operation) => operation.pointer === at) ? mapText(mappings) : '';
  const maps = { uidMap: own(uidMappings, '/linux/uidMappings'), gidMap: own(gidMappings, '/linux/gidMappings') };
  return [...helpers, cloneOperation(spec, places, rdt, maps, caller !== undefined)];
}

function helper(name: string, program: string, mappings: readonly IdMapping[], at: string): Operation {
  if (program === '') {
    throw new StrataError({
      code: 'config-unsupported',
      stage: 'plan',
      pointer: at,
      reason: `mapping more than the caller's own id needs ${name}, and there is none`,
      hint: 'it is part of the package uidmap or shadow-utils',
    });
  }
  return {
    op: 'id-map-helper',
    pointer: at,
    program,
    args: mappings.flatMap(({ containerID, hostID, size }) => [`${containerID}`, `${hostID}`, `${size}`]),
  };
}

interface IdMaps {
  readonly uidMap: string;
  readonly gidMap: string;
}

function cloneOperation(spec: Spec, places: readonly CgroupPlace[], rdt: RdtPlan | undefined, maps: IdMaps, unprivileged: boolean): Operation {
  let create = 0;
  const join: string[] = [];
  // The order of NAMESPACE_TYPES, not the configuration's: the user namespace comes first, it owns the right to join the others.
  for (const type of NAMESPACE_TYPES) {
    const namespace = findNamespace(spec, type);
    if (namespace === undefined) continue;
    if (namespace.path === undefined) create |= CLONE[type];
    else join.push(type, namespace.path);
  }
  const { cgroup, tasks } = entrance(places, spec.linux.resources);
  return {
    op: 'clone',
    pointer: '/linux/namespaces',
    create,
    join,
    ...maps,
    timeOffsets: timeOffsetsText(spec),
    cgroup,
    tasks: rdt === undefined ? tasks : tasks.concat(rdt.tasks),
    unprivileged,
  };
}

/** Network devices come first of all: where one cannot be had, nothing else is begun. */
export function netDeviceOperations(spec: Spec): Operation[] {
  const { netDevices } = spec.linux;
  if (netDevices === undefined) return [];
  return Object.entries(netDevices).map(([name, device]) => ({
    op: 'net-device',
    pointer: pointer('/linux/netDevices', name),
    name,
    target: device.name ?? name,
  }));
}

/** The text of /proc/PID/uid_map, user_namespaces(7). */
export function mapText(mappings: readonly IdMapping[]): string {
  let text = '';
  for (let index = 0; index < mappings.length; ++index) {
    const { containerID, hostID, size } = mappings[index] as IdMapping;
    text += `${containerID} ${hostID} ${size}\n`;
  }
  return text;
}

/** The text of /proc/PID/timens_offsets, time_namespaces(7). */
function timeOffsetsText(spec: Spec): string {
  const offsets = spec.linux.timeOffsets ?? {};
  let out = '';
  for (const clock of ['monotonic', 'boottime'] as const) {
    const offset = offsets[clock];
    if (offset !== undefined) out += `${clock} ${offset.secs} ${offset.nanosecs}\n`;
  }
  return out;
}
