/** $NOTIFY_SOCKET of whoever starts the container (sd_notify(3)): where the container finds a socket in its place. */
import { cleanPath } from '../spec/refuse.ts';
import type { Process } from '../spec/types.ts';
import type { PlanContext } from './context.ts';
import { ATTR, type Operation } from './op.ts';

export const NOTIFY_VARIABLE = 'NOTIFY_SOCKET';
/** Of the socket in its directory. */
export const NOTIFY_NAME = 'notify';
/** Directory in the container, as runc has it. */
export const NOTIFY_PLACE = '/run/notify';

/** Behind it there has to be room for the socket's name in sockaddr_un, which has 108 bytes. */
const USABLE = /^\/[!-~]{1,90}$/;
/** Where a systemd in the container makes a socket of its own, and where nothing but the kernel's file systems are. */
const TAKEN = /\/systemd\/notify$|^\/(?:proc|sys|dev)(?:\/|$)|^\/$/;

/**
 * The directory in the container whose socket stands for the one at `address`: of the same name, as crun has it, or `/run/notify`.
 */
export function notifyPlace(address: string): string {
  if (!address.startsWith('/')) return NOTIFY_PLACE;
  const path = cleanPath(address);
  return USABLE.test(path) && !TAKEN.test(path) ? path : NOTIFY_PLACE;
}

/** After the mounts of the configuration, one of which may be where it is to be. Connecting needs no writable mount. */
export function notifyOperations({ options: { notify } }: PlanContext): Operation[] {
  if (notify === undefined) return [];
  const attributes = { set: ATTR.rdonly | ATTR.nosuid | ATTR.nodev | ATTR.noexec, clear: 0n, recursiveSet: 0n, recursiveClear: 0n, propagation: 0 };
  const mapping = { idmap: 0, uidMap: '', gidMap: '' };
  return [
    {
      op: 'bind',
      pointer: '',
      destination: notify.place,
      source: notify.directory,
      recursive: false,
      ...attributes,
      overProc: false,
      realDirectory: false,
      ...mapping,
    },
  ];
}

/** With the variable, which takes the place of one of the configuration. */
export function notifyEnvironment({ env }: Process, { options: { notify } }: PlanContext): readonly string[] {
  return notify === undefined ? env : [...env, `${NOTIFY_VARIABLE}=${notify.place}/${NOTIFY_NAME}`];
}
