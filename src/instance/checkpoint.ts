/** Where the checkpoint of a container made of an image lies, and what becomes of it. */
import { StrataError, withFields } from '../base/error.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { checkId } from '../lifecycle/id.ts';
import { containerPath } from '../store/paths.ts';
import { openStore, type Store } from '../store/store.ts';
import { awaitInstance } from './directory.ts';
import type { InstanceName } from './instances.ts';
import { loadInstance } from './instances.ts';

/** In the instance's own directory, unless somebody names another place. */
export function checkpointDirectory(directory: string): string {
  return `${directory}/checkpoint`;
}

/** The one before, as long as another is being made. */
function olderCheckpoint(directory: string): string {
  return `${directory}/checkpoint.old`;
}

/** Where CRIU's logs go: they are wanted when something has failed, and there are no images then. */
export function logDirectory(store: string, id: string): string {
  return `${containerPath(store, id)}/criu`;
}

export interface InstanceCheckpointOptions extends InstanceName {
  /** Writes the container's state into a directory, and calls `dumped` when it is there; then the container ends, unless it is left running. */
  readonly dump: (imagePath: string, dumped: () => void) => Promise<void>;
  readonly leaveRunning: boolean;
}

/** @throws StrataError `status` if the container is deleted when it ends. */
export function checkStays(store: Store, id: string): void {
  if (!loadInstance(store, id).remove) return;
  const hint = '--leave-running keeps it running';
  throw new StrataError({ code: 'status', stage: 'state', reason: `container ${id} is deleted when it ends, and its checkpoint with it`, hint });
}

/**
 * Takes what the store has of a container's checkpoints, so that nobody makes one while another is made, or while the program is made to run. The
 * directory of the instance itself is locked by whoever keeps it running.
 *
 * @throws StrataError `status` if somebody else does not let go of it.
 */
export async function lockCheckpoint(host: Host, id: string, directory: string): Promise<Descriptor> {
  const lock = await awaitInstance(host, `${directory}/rootfs`);
  if (lock !== undefined) return lock;
  throw new StrataError({ code: 'status', stage: 'state', reason: `container ${id} is just being checkpointed, started or restored` });
}

/**
 * Makes a checkpoint that lies in the instance's directory, in place of an older one, and ends the container. Gives back where it is.
 *
 * @throws StrataError `status` as {@link checkStays} and {@link lockCheckpoint}, and what `dump` throws; unless that was after the dump, the older one is
 * as it was.
 */
export async function checkpointInstance(host: Host, options: InstanceCheckpointOptions): Promise<string> {
  const { id } = options;
  checkId(id);
  checkStays(openStore(host, options.store), id);
  const directory = containerPath(options.store, id);
  const place = checkpointDirectory(directory);
  const lock = await lockCheckpoint(host, id, directory);
  try {
    await replaceCheckpoint(host, directory, options);
    // The container is gone, so this is all that there is of it.
    await host.syncFileSystem(place);
  } finally {
    host.close(lock);
  }
  await letGo(host, directory);
  return place;
}

/**
 * The dump goes to its final place at once: when it is done the container ends, and what lies anywhere else would be lost if we were killed then. One
 * that was cut off is replaced by the next.
 */
async function replaceCheckpoint(host: Host, directory: string, { id, dump }: InstanceCheckpointOptions): Promise<void> {
  const [place, old] = [checkpointDirectory(directory), olderCheckpoint(directory)];
  if (host.stat(place) !== undefined) {
    await host.removeTree(old);
    host.rename(place, old, false);
  }
  host.makeDirectory(place, 0o700);
  let isThere = false;
  try {
    await dump(place, () => {
      isThere = true;
    });
  } catch (error) {
    if (isThere) {
      if (!(error instanceof StrataError)) throw error;
      throw withFields(error, { hint: `the checkpoint is in the store: strata restore --detach ${id} goes on with it` });
    }
    await host.removeTree(place);
    if (host.stat(old) !== undefined) host.rename(old, place, false);
    throw error;
  }
  await host.removeTree(old);
}

/** Waits until whoever stands in front of the container, or keeps it, has written down how it ended. */
async function letGo(host: Host, directory: string): Promise<void> {
  const lock = await awaitInstance(host, directory);
  if (lock !== undefined) host.close(lock);
}

/** What was written after a checkpoint is not in it: a program that goes on makes it worthless. */
export async function forgetCheckpoint(host: Host, directory: string): Promise<void> {
  await host.removeTree(checkpointDirectory(directory));
  await host.removeTree(olderCheckpoint(directory));
}
