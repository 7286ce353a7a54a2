/** Checks of `linux.namespaces` and of what depends on them: id mappings, time offsets, host and domain name. */
import { findNamespace, invalid, mustBeAbsolute, quoted } from './refuse.ts';
import type { IdMapping, Mount, Namespace, Spec } from './types.ts';

/** user_namespaces(7): lines that a map may have since Linux 4.15. */
const MOST_MAPPINGS = 340;
/** The last id is -1 for the kernel, so no range may reach it. */
const ID_END = 0xffff_ffff;
const SECOND = 1_000_000_000;

export function checkNamespaces(spec: Spec): void {
  const { namespaces } = spec.linux;
  const seen = new Set<string>();
  for (let index = 0; index < namespaces.length; index++) {
    const { type, path } = namespaces[index] as Namespace;
    if (seen.has(type)) invalid(`/linux/namespaces/${index}/type`, `duplicate namespace of type ${type}`);
    seen.add(type);
    if (path !== undefined) mustBeAbsolute(path, `/linux/namespaces/${index}/path`);
  }
  // In a namespace that others use, or in the runtime's own, the propagation of the root is not the container's to set.
  const mount = findNamespace(spec, 'mount');
  if (spec.linux.rootfsPropagation !== undefined && (mount === undefined || mount.path !== undefined)) {
    invalid('/linux/rootfsPropagation', 'needs a new namespace of type mount in linux.namespaces');
  }
}

/** Names of the host are not the container's to set: sethostname(2) acts on the uts namespace. */
export function checkNames(spec: Spec): void {
  for (const name of ['hostname', 'domainname'] as const) {
    const value = spec[name];
    if (value === undefined) continue;
    if (findNamespace(spec, 'uts') === undefined) invalid(`/${name}`, 'needs a namespace of type uts in linux.namespaces');
    // __NEW_UTS_LEN, in bytes; a character is at least one.
    if (value.length > 64) invalid(`/${name}`, `at most 64 bytes, found ${quoted(value)}`);
  }
}

/** Does the container get a user namespace of its own? */
export function isNewUserNamespace(spec: Spec): boolean {
  const user = findNamespace(spec, 'user');
  return user !== undefined && user.path === undefined;
}

export function checkIdMappings(spec: Spec): readonly string[] {
  const { uidMappings, gidMappings } = spec.linux;
  const user = findNamespace(spec, 'user');
  for (const key of ['uidMappings', 'gidMappings'] as const) {
    const mappings = spec.linux[key];
    const place = `/linux/${key}`;
    if (user === undefined) {
      if (mappings.length > 0) invalid(place, 'needs a namespace of type user in linux.namespaces');
    } else if (user.path === undefined) {
      if (mappings.length === 0) invalid(place, 'a new user namespace needs at least one mapping');
      checkMappings(mappings, place);
    }
  }
  if (user?.path === undefined) {
    if (user !== undefined) {
      checkUserMapped(spec);
      checkOwnersMapped(spec);
    }
    return [];
  }
  // podman gives a dummy mapping with the namespace it joins.
  const given = uidMappings.length + gidMappings.length > 0;
  return given ? ['/linux/uidMappings and /linux/gidMappings are ignored: the user namespace that is joined has its own'] : [];
}

/** The rules of user_namespaces(7), which the kernel answers with a bare EINVAL. */
export function checkMappings(mappings: readonly IdMapping[], pointer: string): void {
  if (mappings.length > MOST_MAPPINGS) invalid(pointer, `has ${mappings.length} mappings, the kernel takes ${MOST_MAPPINGS}`);
  for (const [index, mapping] of mappings.entries()) {
    const place = `${pointer}/${index}`;
    if (mapping.size === 0) invalid(`${place}/size`, 'must be at least 1');
    for (const side of ['containerID', 'hostID'] as const) {
      const end = mapping[side] + mapping.size;
      if (end > ID_END) invalid(`${place}/size`, `${side} ${mapping[side]} and size ${mapping.size} go beyond the last id, ${ID_END - 1}`);
      for (let other = 0; other < index; other++) {
        const { [side]: start, size } = mappings[other] as IdMapping;
        if (mapping[side] < start + size && start < end) invalid(`${place}/${side}`, `overlaps ${pointer}/${other}`);
      }
    }
  }
}

function isMapped(id: number, mappings: readonly IdMapping[]): boolean {
  return mappings.some(({ containerID, size }) => id >= containerID && id < containerID + size);
}

function checkUserMapped(spec: Spec): void {
  if (spec.process === undefined) return;
  const { uid, gid, additionalGids } = spec.process.user;
  const { uidMappings, gidMappings } = spec.linux;
  const check = (id: number, mappings: readonly IdMapping[], place: string): void => {
    if (!isMapped(id, mappings)) invalid(`/process/user/${place}`, `${id} is not mapped in the container's user namespace`);
  };
  check(uid, uidMappings, 'uid');
  check(gid, gidMappings, 'gid');
  for (const [index, extra] of additionalGids.entries()) check(extra, gidMappings, `additionalGids/${index}`);
}

/** Owners that a new file system is told, as in `gid=5` of devpts: the kernel takes the container's ids, and answers EINVAL for one that is not mapped. */
function checkOwnersMapped({ mounts, linux }: Spec): void {
  const maps = [
    ['uid=', linux.uidMappings],
    ['gid=', linux.gidMappings],
  ] as const;
  for (let index = 0; index < mounts.length; index++) {
    const { options, type } = mounts[index] as Mount;
    if (type === 'bind' || options.includes('bind') || options.includes('rbind')) continue;
    for (let at = 0; at < options.length; at++) {
      const option = options[at] as string;
      for (const [prefix, mappings] of maps) {
        if (!option.startsWith(prefix) || isMapped(Number(option.slice(prefix.length)), mappings)) continue;
        invalid(`/mounts/${index}/options/${at}`, `${quoted(option)} names an id that is not mapped in the container's user namespace`);
      }
    }
  }
}

export function checkTimeOffsets(spec: Spec): void {
  const offsets = spec.linux.timeOffsets ?? {};
  for (const clock of ['monotonic', 'boottime'] as const) {
    const offset = offsets[clock];
    if (offset === undefined) continue;
    const place = `/linux/timeOffsets/${clock}`;
    const time = findNamespace(spec, 'time');
    // time_namespaces(7): offsets are fixed once a process has entered the namespace.
    if (time === undefined || time.path !== undefined) invalid(place, 'needs a new namespace of type time in linux.namespaces');
    if (offset.nanosecs >= SECOND) invalid(`${place}/nanosecs`, `expected an integer from 0 to ${SECOND - 1}, found ${offset.nanosecs}`);
  }
}
