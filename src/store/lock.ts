/** Locks of the store: flock(2) on directories in `locks`, which the kernel releases however their holder ends. docs/store.md says who takes which. */
import { StrataError } from '../base/error.ts';
import type { Descriptor } from '../host/host.ts';
import type { Store } from './store.ts';

/** Milliseconds that a verb waits for others. */
const PATIENCE = 60_000;
const LONGEST_PAUSE = 50;

/**
 * Runs `work` while nothing can be removed from the store. Any number of processes may do so at once; do not nest. `checkpoint` is called now and then
 * while it waits, and ends that by throwing. @throws StrataError `locked`.
 */
export function whileUsing<T>(store: Store, work: () => T | Promise<T>, checkpoint?: () => void): Promise<T> {
  return withLock(store, 'use', true, work, PATIENCE, checkpoint);
}

/** Runs `work` while nobody else adds to the store or removes from it. @throws StrataError `locked`. */
export function whileRemoving<T>(store: Store, work: () => T | Promise<T>): Promise<T> {
  return withLock(store, 'use', false, work);
}

/** Runs `work` while no other process changes the names of images. @throws StrataError `locked`. */
export function whileNaming<T>(store: Store, work: () => T | Promise<T>): Promise<T> {
  return withLock(store, 'references', false, work);
}

/**
 * Runs `work` while no other process unpacks the layer with this chain id; it is to look first whether another has. `checkpoint` is called now and then
 * while it waits, and ends that by throwing.
 */
export async function whileUnpacking<T>(store: Store, chainId: string, work: () => T | Promise<T>, checkpoint?: () => void): Promise<T> {
  const name = `layers/${chainId.slice(chainId.indexOf(':') + 1)}`;
  store.host.makeDirectories(`${store.root}/locks/${name}`, 0o700);
  // Another's layer may be a large one: to wait for it is always shorter than to unpack it as well.
  return withLock(store, name, false, work, Number.POSITIVE_INFINITY, checkpoint);
}

async function withLock<T>(
  store: Store,
  name: string,
  shared: boolean,
  work: () => T | Promise<T>,
  patience = PATIENCE,
  checkpoint = () => {},
): Promise<T> {
  const { host } = store;
  const lock = await acquire(store, `${store.root}/locks/${name}`, shared, patience, checkpoint);
  try {
    return await work();
  } finally {
    host.close(lock);
  }
}

async function acquire({ host, root }: Store, directory: string, shared: boolean, patience: number, checkpoint: () => void): Promise<Descriptor> {
  const end = host.now() + patience;
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    const lock = host.lock(directory, shared);
    if (lock !== undefined) return lock;
    checkpoint();
    if (host.stat(directory) === undefined) {
      // A store that was never added to has none, and one whose making was cut off may have some.
      host.makeDirectories(directory, 0o700);
    } else if (host.now() >= end) {
      const hint = `it did not finish within ${patience / 1000} s`;
      throw new StrataError({ code: 'locked', reason: `the store ${root} is in use by another strata process`, hint });
    } else {
      await host.sleep(pause);
    }
  }
}
