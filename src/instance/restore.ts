/** Going on with a container made of an image where its checkpoint was made: in front of the caller, or kept in the background. */
import { StrataError, withFields } from '../base/error.ts';
import { messageOf } from '../base/fault.ts';
import type { Descriptor, ExitStatus, Host } from '../host/host.ts';
import { deleteContainer } from '../lifecycle/delete.ts';
import { checkId } from '../lifecycle/id.ts';
import type { CreateOptions } from '../lifecycle/prepare.ts';
import type { RestoreOptions } from '../lifecycle/restore.ts';
import { restoreForeground, restoreUp, withNotifyPlace } from '../lifecycle/restore.ts';
import { withCleanupFault } from '../lifecycle/start.ts';
import { hasState } from '../lifecycle/store.ts';
import { whileUsing } from '../store/lock.ts';
import { containerPath } from '../store/paths.ts';
import { openStore } from '../store/store.ts';
import { checkpointDirectory, forgetCheckpoint, lockCheckpoint } from './checkpoint.ts';
import type { CreatedInstance } from './create.ts';
import { discardInstance } from './create.ts';
import { recordStart } from './directory.ts';
import { recordExit } from './exit.ts';
import type { InstanceName } from './instances.ts';
import { loadInstance, runState } from './instances.ts';
import { runKept } from './keeper.ts';
import { takeInstance } from './life.ts';
import { removeInstance } from './removal.ts';
import { atItsEnd } from './run.ts';

/** The container's own options are its image's and its record's; of those of `create` there are these. */
export interface InstanceRestoreOptions
  extends InstanceName,
    Omit<RestoreOptions, keyof CreateOptions | 'imagePath'>,
    Pick<CreateOptions, 'cgroupManager' | 'rootless' | 'pidFile' | 'checkpoint'> {
  /** Directory of the checkpoint, absolute; the one in the store if absent. */
  readonly imagePath?: string;
}

/** An instance that is about to go on; its lock is held, and that of its checkpoints. */
interface Taken {
  readonly created: Pick<CreatedInstance, 'instance' | 'directory' | 'lock' | 'store'>;
  readonly imagePath: string;
  readonly checkpointLock: Descriptor;
}

/** Takes an instance that does not run. @throws StrataError `not-found`; `status` if it runs, or has no checkpoint. */
async function take(host: Host, options: InstanceRestoreOptions): Promise<Taken> {
  const { id, root } = options;
  checkId(id);
  const store = openStore(host, options.store);
  const instance = loadInstance(store, id);
  const directory = containerPath(store.root, id);
  const lock = await takeInstance(host, options, 'restore');
  let checkpointLock: Descriptor = -1;
  try {
    checkpointLock = await lockCheckpoint(host, id, directory);
    const imagePath = options.imagePath ?? checkpointDirectory(directory);
    // What CRIU writes last: without it a dump has been cut off.
    if (host.stat(`${imagePath}/inventory.img`) === undefined) {
      const reason = options.imagePath === undefined ? `container ${id} has no checkpoint` : `there is no checkpoint in ${imagePath}`;
      throw new StrataError({ code: 'status', stage: 'state', reason });
    }
    // What is left of the last time.
    if ((await runState(host, options)) !== undefined) await deleteContainer(host, { ...options, root, id });
    return { created: { instance, directory, lock, store }, imagePath, checkpointLock };
  } catch (error) {
    if (checkpointLock !== -1) host.close(checkpointLock);
    host.close(lock);
    throw error;
  }
}

/** Goes on with an instance in the background. @throws StrataError of any code; then it has stopped as before. */
export async function restoreInstanceKept(host: Host, options: InstanceRestoreOptions): Promise<{ readonly pid: number }> {
  const taken = await take(host, options);
  try {
    return await keepRestored(host, options, taken);
  } finally {
    host.close(taken.created.lock);
  }
}

/** The same with one that has just been imported. @throws StrataError of any code; then nothing of it is left. */
export async function restoreImportedKept(host: Host, options: InstanceRestoreOptions, created: CreatedInstance): Promise<{ readonly pid: number }> {
  try {
    return await keepRestored(host, options, await takeImported(host, options, created));
  } catch (error) {
    throw await withdrawn(host, options, created, error);
  } finally {
    host.close(created.lock);
  }
}

/**
 * Goes on with an instance in front of the caller, and gives back how its program has ended. @throws StrataError of any code; then it has stopped.
 */
export async function restoreInstance(host: Host, options: InstanceRestoreOptions): Promise<ExitStatus> {
  const taken = await take(host, options);
  try {
    return await attend(host, options, taken, () => {});
  } finally {
    host.close(taken.created.lock);
  }
}

/** The same with one that has just been imported. @throws StrataError of any code; then nothing of it is left, unless its program has gone on. */
export async function restoreImported(host: Host, options: InstanceRestoreOptions, created: CreatedInstance): Promise<ExitStatus> {
  let hasRun = false;
  try {
    return await attend(host, options, await takeImported(host, options, created), () => {
      hasRun = true;
    });
  } catch (error) {
    throw hasRun ? error : await withdrawn(host, options, created, error);
  } finally {
    host.close(created.lock);
  }
}

async function takeImported(host: Host, { id }: InstanceName, created: CreatedInstance): Promise<Taken> {
  const { directory } = created;
  return { created, imagePath: checkpointDirectory(directory), checkpointLock: await lockCheckpoint(host, id, directory) };
}

async function keepRestored(host: Host, options: InstanceRestoreOptions, taken: Taken): Promise<{ readonly pid: number }> {
  const { directory, lock, instance } = taken.created;
  const { log, interactive, remove } = instance;
  const own = withNotifyPlace(host, { ...options, bundle: directory, imagePath: taken.imagePath });
  try {
    const told = await runKept(host, {
      ...own,
      directory,
      lock,
      log,
      interactive,
      remove,
      bring: (streams, prepared) => restoreUp(host, { ...own, ...streams }, prepared),
    });
    await settleCheckpoint(host, options, taken);
    return told;
  } finally {
    host.close(taken.checkpointLock);
  }
}

async function attend(host: Host, options: InstanceRestoreOptions, taken: Taken, ran: () => void): Promise<ExitStatus> {
  const { instance, directory, store } = taken.created;
  const ended = (status: ExitStatus, oomKilled: () => boolean): void => {
    ran();
    if (!instance.remove) recordExit(host, directory, status, oomKilled());
  };
  const stdin = instance.interactive || instance.terminal ? 0 : atItsEnd(host);
  let isLocked = true;
  const unlock = (): void => {
    if (isLocked) host.close(taken.checkpointLock);
    isLocked = false;
  };
  const resumed = async (): Promise<void> => {
    try {
      await settleCheckpoint(host, options, taken);
    } catch (error) {
      options.warn?.(`the checkpoint that the container went on from is still there: ${messageOf(error)}`);
    }
    unlock();
  };
  let status: ExitStatus;
  try {
    recordStart(host, directory);
    const own = { bundle: directory, imagePath: taken.imagePath, stdio: [stdin, 1, 2] as const };
    status = await restoreForeground(host, { ...options, ...own, ended, resumed });
  } finally {
    unlock();
    if (stdin !== 0) host.close(stdin);
  }
  if (instance.remove) await whileUsing(store, () => removeInstance(store, instance));
  return status;
}

/**
 * The program goes on, and what it writes from then on is in no checkpoint that the store has. Pages that are still to come are read from the one
 * that it goes on from.
 */
async function settleCheckpoint(host: Host, { imagePath, lazyPages }: InstanceRestoreOptions, { created }: Taken): Promise<void> {
  if (imagePath !== undefined || lazyPages !== true) await forgetCheckpoint(host, created.directory);
}

/** Takes the instance back, unless something of its container is left: then it is for `delete` to clear up both. Gives back what to throw. */
async function withdrawn(host: Host, { root, id }: InstanceName, created: CreatedInstance, cause: unknown): Promise<unknown> {
  try {
    if (!hasState(host, root, id)) await discardInstance(created);
  } catch (fault) {
    return withCleanupFault(cause, fault);
  }
  // Its log is gone with the rest.
  return cause instanceof StrataError && cause.code === 'criu' && cause.hint !== undefined
    ? withFields(cause, { hint: '--work-path keeps its log' })
    : cause;
}
