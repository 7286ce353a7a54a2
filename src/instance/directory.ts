/** What lies in an instance's directory in the store, and beside its run state. */
import { StrataError } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { containerDirectory, notFound } from '../lifecycle/store.ts';

/** How the container ended last time. */
export function exitFile(directory: string): string {
  return `${directory}/exit.json`;
}

/** When its program was last started, RFC 3339; not there before the first time. */
function startedFile(directory: string): string {
  return `${directory}/started`;
}

/** Its program runs from now on: how it ended before is no longer true. */
export function recordStart(host: Host, directory: string): void {
  host.replaceFile(startedFile(directory), host.timestamp(), 0o600);
  host.removeFile(exitFile(directory));
}

/** When its program was last started, undefined if never. */
export function startOf(host: Host, directory: string): string | undefined {
  try {
    return host.readText(startedFile(directory));
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return undefined;
    throw error;
  }
}

/** The file that its output is being written to; older ones have `.1`, `.2` and so on behind it. */
export function logFile(directory: string): string {
  return `${directory}/container.log`;
}

/** Waits until it is written down how the instance has ended, and its log with that; not for one that nobody has any more, and not too long. */
export async function awaitRecord(host: Host, directory: string): Promise<void> {
  const end = host.now() + PATIENCE;
  for (let pause = 1; host.stat(exitFile(directory)) === undefined; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    const lock = host.tryLock(directory);
    if (lock !== undefined) host.close(lock);
    if (lock !== undefined || host.stat(directory) === undefined || host.now() >= end) return;
    await host.sleep(pause);
  }
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
  if (host.stat(directory) === undefined) throw notFound(id);
  throw new StrataError({ code: 'status', stage: 'state', reason: `container ${id} is running, or just being started or removed` });
}

/** Milliseconds that a keeper has to write down how its container has ended. */
const PATIENCE = 10_000;
const LONGEST_PAUSE = 50;

/** Takes the instance as soon as whoever has it lets go; undefined if that takes too long, or the instance is gone. */
export async function awaitInstance(host: Host, directory: string): Promise<Descriptor | undefined> {
  const end = host.now() + PATIENCE;
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    const lock = host.tryLock(directory);
    if (lock !== undefined || host.stat(directory) === undefined || host.now() >= end) return lock;
    await host.sleep(pause);
  }
}
