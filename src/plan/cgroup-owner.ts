/** Whose the container's cgroup is (config-linux.md, Cgroup ownership): cgroup v2 can be delegated, v1 cannot safely. */
import { type HostFacts, mayAdminister } from '../host/facts.ts';
import { cleanPath, findNamespace } from '../spec/refuse.ts';
import type { IdMapping, Spec } from '../spec/types.ts';
import type { CgroupPlace } from './cgroup.ts';
import type { Operation } from './op.ts';

/** The index of the mount by which the container can write to its v2 cgroup in a cgroup namespace of its own; undefined if none does. */
export function delegationMount(spec: Spec, { cgroup }: HostFacts): number | undefined {
  const namespace = findNamespace(spec, 'cgroup');
  if (namespace === undefined || namespace.path !== undefined) return undefined;
  const index = spec.mounts.findIndex(({ destination, source, type, options }) => {
    // Beside v1 a mount of type `cgroup` shows v1's hierarchies.
    const isV2 = cgroup.mode === 'v2' || type === 'cgroup2';
    return isV2 && source === 'cgroup' && cleanPath(destination) === '/sys/fs/cgroup' && !options.includes('ro');
  });
  return index === -1 ? undefined : index;
}

/** Gives the cgroup to the user of the container's process, where that is another than who makes it. */
export function ownerOperations(spec: Spec, places: readonly CgroupPlace[], facts: HostFacts): Operation[] {
  const place = places.find(({ unified }) => unified);
  // An ordinary user can give nothing away.
  if (facts.delegate === undefined || place === undefined || spec.process === undefined || !mayAdminister(facts)) return [];
  const mount = delegationMount(spec, facts);
  const uid = hostUser(spec, spec.process.user.uid);
  if (mount === undefined || uid === undefined || uid === facts.userId) return [];
  return [{ op: 'cgroup-own', pointer: `/mounts/${mount}`, directory: place.directory, files: facts.delegate, uid }];
}

/** The user id outside of the container's user namespace; undefined if it cannot be known, or if there is none. */
export function hostUser(spec: Spec, uid: number): number | undefined {
  const namespace = findNamespace(spec, 'user');
  if (namespace === undefined) return uid;
  if (namespace.path !== undefined) return undefined;
  const mapping = spec.linux.uidMappings.find(({ containerID, size }: IdMapping) => uid >= containerID && uid - containerID < size);
  return mapping && mapping.hostID + (uid - mapping.containerID);
}
