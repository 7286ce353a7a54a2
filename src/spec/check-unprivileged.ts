/** Checks of what an ordinary user may have in a container, where the kernel's own answer would be a bare EPERM. */
import { isNewUserNamespace } from './check-namespaces.ts';
import { invalid, unsupported } from './refuse.ts';
import type { IdMapping, Spec } from './types.ts';

/** Is it the map that a process may write without help: one id, its own (user_namespaces(7))? */
export function mapsOnly(mappings: readonly IdMapping[], id: number): boolean {
  return mappings.length === 1 && mappings[0]?.size === 1 && mappings[0].hostID === id;
}

/** `gid`: the caller's. */
export function checkUnprivileged(spec: Spec, gid: number): void {
  const groups = spec.process?.user.additionalGids ?? [];
  if (groups.length > 0 && isNewUserNamespace(spec) && mapsOnly(spec.linux.gidMappings, gid)) {
    invalid('/process/user/additionalGids', 'the kernel gives no groups to whoever maps only his own id', 'map more of them in linux.gidMappings');
  }
  if (Object.keys(spec.linux.netDevices ?? {}).length > 0) unsupported('/linux/netDevices', 'only root can move network devices of the host');
  for (const [index, { options, uidMappings }] of spec.mounts.entries()) {
    const option = options.findIndex((name) => name === 'idmap' || name === 'ridmap');
    if (option < 0 && uidMappings === undefined) continue;
    const place = option < 0 ? `/mounts/${index}/uidMappings` : `/mounts/${index}/options/${option}`;
    unsupported(place, 'id-mapped mounts need rights over the file system that only root has');
  }
}
