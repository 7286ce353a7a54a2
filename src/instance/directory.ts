/** What lies in an instance's directory in the store, and beside its run state. */
import { StrataError } from '../base/error.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { containerDirectory } from '../lifecycle/store.ts';

/** How the container ended last time. */
export function exitFile(directory: string): string {
  return `${directory}/exit.json`;
}

/** The file that its output is being written to; older ones have `.1`, `.2` and so on behind it. */
export function logFile(directory: string): string {
  return `${directory}/container.log`;
}

/** Where the keeper lets others attach. */
export function attachSocket(root: string, id: string): string {
  return `${containerDirectory(root, id)}/attach.sock`;
}

/**
 * Takes the instance for as long as it runs: whoever stands in front of it or keeps it holds this lock (flock(2) on its directory), which the
 * kernel releases however that ends.
 *
 * @throws StrataError `status` if somebody holds it.
 */
export function lockInstance(host: Host, id: string, directory: string): Descriptor {
  const lock = host.tryLock(directory);
  if (lock !== undefined) return lock;
  if (host.stat(directory) === undefined) throw new StrataError({ code: 'not-found', stage: 'state', reason: `container does not exist: ${id}` });
  throw new StrataError({ code: 'status', stage: 'state', reason: `container ${id} is running, or just being started or removed` });
}
