/** Where the checkpoint of a container made of an image lies, and what becomes of it. */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { checkId } from '../lifecycle/id.ts';
import { containerPath } from '../store/paths.ts';
import { openStore, temporaryPath } from '../store/store.ts';
import { awaitInstance } from './directory.ts';
import type { InstanceName } from './instances.ts';
import { loadInstance } from './instances.ts';

/** In the instance's own directory, unless somebody names another place. */
export function checkpointDirectory(directory: string): string {
  return `${directory}/checkpoint`;
}

/** Where CRIU's logs go: they are wanted when something has failed, and there are no images then. */
export function logDirectory(store: string, id: string): string {
  return `${containerPath(store, id)}/criu`;
}

export interface InstanceCheckpointOptions extends InstanceName {
  /** Writes the container's state into a directory; the container has ended then, unless it is left running. */
  readonly dump: (imagePath: string) => Promise<void>;
  readonly leaveRunning: boolean;
}

/**
 * Makes a checkpoint that lies in the instance's directory, in place of an older one. Gives back where it is.
 *
 * @throws StrataError `status` if the container is deleted when it ends, and what `dump` throws; then the older one is as it was.
 */
export async function checkpointInstance(host: Host, options: InstanceCheckpointOptions): Promise<string> {
  const { id, leaveRunning } = options;
  checkId(id);
  const store = openStore(host, options.store);
  if (loadInstance(store, id).remove && !leaveRunning) {
    const hint = '--leave-running keeps it running';
    throw new StrataError({ code: 'status', stage: 'state', reason: `container ${id} is deleted when it ends, and its checkpoint with it`, hint });
  }
  const directory = containerPath(options.store, id);
  const fresh = `${directory}/checkpoint.new`;
  await host.removeTree(fresh);
  host.makeDirectory(fresh, 0o700);
  try {
    await options.dump(fresh);
  } catch (error) {
    await host.removeTree(fresh);
    throw error;
  }
  const place = checkpointDirectory(directory);
  if (host.stat(place) !== undefined) {
    const old = temporaryPath(store);
    host.rename(place, old, false);
    await host.removeTree(old);
  }
  host.rename(fresh, place, false);
  if (!leaveRunning) await letGo(host, directory);
  return place;
}

/** Waits until whoever stands in front of the container, or keeps it, has written down how it ended. */
async function letGo(host: Host, directory: string): Promise<void> {
  const lock = await awaitInstance(host, directory);
  if (lock !== undefined) host.close(lock);
}

/** What was written after a checkpoint is not in it: a program that runs from the beginning makes it worthless. */
export async function forgetCheckpoint(host: Host, directory: string): Promise<void> {
  await host.removeTree(checkpointDirectory(directory));
}
