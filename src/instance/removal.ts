/** Taking containers and volumes out of the store. */
import { ERRNO, hasErrno } from '../base/fault.ts';
import { containerPath, volumePath } from '../store/paths.ts';
import type { Store } from '../store/store.ts';
import { temporaryPath } from '../store/store.ts';
import type { Instance } from './record.ts';
import { removeTree } from './user-namespace.ts';

/** Removes an instance that has ended, with its volumes that nobody has named. Its directory's lock is the caller's. */
export async function removeInstance(store: Store, { id, volumes }: Pick<Instance, 'id' | 'volumes'>): Promise<void> {
  await removeAtOnce(store, containerPath(store.root, id));
  for (const { name, anonymous } of volumes) if (anonymous) await removeVolume(store, name);
}

/** Removes a volume with all that is in it; nothing there is no error. */
export async function removeVolume(store: Store, name: string): Promise<void> {
  await removeAtOnce(store, volumePath(store.root, name));
}

/** Takes a directory out of its place in one step, and then apart, so that nobody sees half of it. */
export async function removeAtOnce(store: Store, path: string): Promise<void> {
  const { host } = store;
  const temporary = temporaryPath(store);
  try {
    host.rename(path, temporary, false);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return;
    throw error;
  }
  await removeTree(host, temporary);
}
