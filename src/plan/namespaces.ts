/** Namespaces: new, joined or shared with the caller (config-linux.md, Namespaces). */
import { pointer } from '../base/pointer.ts';
import { findNamespace } from '../spec/refuse.ts';
import { type IdMapping, NAMESPACE_TYPES, type NamespaceType, type Spec } from '../spec/types.ts';
import { type CgroupPlace, tasksFiles, unifiedDirectory } from './cgroup.ts';
import { CLONE, type Operation } from './op.ts';
import type { RdtPlan } from './rdt.ts';

/** Does the container get a namespace of its own, that nobody else is in? */
export function isNew(spec: Spec, type: NamespaceType): boolean {
  const namespace = findNamespace(spec, type);
  return namespace !== undefined && namespace.path === undefined;
}

/** The operation that makes the container's first process, in its namespaces and cgroups. */
export function cloneOperation(spec: Spec, places: readonly CgroupPlace[], rdt: RdtPlan | undefined): Operation {
  let create = 0;
  const join: string[] = [];
  // The order of NAMESPACE_TYPES, not the configuration's: the user namespace comes first, it owns the right to join the others.
  for (const type of NAMESPACE_TYPES) {
    const namespace = findNamespace(spec, type);
    if (namespace === undefined) continue;
    if (namespace.path === undefined) create |= CLONE[type];
    else join.push(type, namespace.path);
  }
  const newUser = isNew(spec, 'user');
  return {
    op: 'clone',
    pointer: '/linux/namespaces',
    create,
    join,
    uidMap: newUser ? mapText(spec.linux.uidMappings) : '',
    gidMap: newUser ? mapText(spec.linux.gidMappings) : '',
    timeOffsets: timeOffsetsText(spec),
    cgroup: unifiedDirectory(places),
    tasks: rdt === undefined ? tasksFiles(places) : tasksFiles(places).concat(rdt.tasks),
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
