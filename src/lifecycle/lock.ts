/** One lock for each container: flock(2) on its state directory, which the kernel releases however the holder ends. */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { containerDirectory, notFound } from './store.ts';

/** Milliseconds that a verb waits for another strata process to finish with the container. */
const PATIENCE = 10_000;
const LONGEST_PAUSE = 50;

/**
 * Runs `work` while holding the container's lock.
 *
 * @throws StrataError `not-found` if there is no such container (any more), `locked` if another process held on to it for `patience` ms.
 */
export async function withLock<T>(host: Host, root: string, id: string, work: () => Promise<T>, patience = PATIENCE): Promise<T> {
  const directory = containerDirectory(root, id);
  const end = host.now() + patience;
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    const lock = host.tryLock(directory);
    if (lock !== undefined) {
      try {
        return await work();
      } finally {
        host.close(lock);
      }
    }
    if (host.stat(directory) === undefined) throw notFound(id);
    if (host.now() >= end) {
      throw new StrataError({
        code: 'locked',
        stage: 'state',
        reason: `container ${id} is in use by another strata process`,
        hint: `it did not finish within ${patience / 1000} s`,
      });
    }
    await host.sleep(pause);
  }
}

/** Whether another process holds the container's lock at this moment. */
export function isLocked(host: Host, root: string, id: string): boolean {
  const directory = containerDirectory(root, id);
  const lock = host.tryLock(directory);
  if (lock === undefined) return host.stat(directory) !== undefined;
  host.close(lock);
  return false;
}
