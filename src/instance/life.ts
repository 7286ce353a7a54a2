/** The life of containers that are in the store: start again, stop, wait, rename, delete. All but `start` and `rename` serve containers of bundles too. */
import { StrataError } from '../base/error.ts';
import { ERRNO, hasCode, hasErrno } from '../base/fault.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { deleteContainer } from '../lifecycle/delete.ts';
import { checkId } from '../lifecycle/id.ts';
import { kill } from '../lifecycle/kill.ts';
import { untilReady } from '../lifecycle/notify.ts';
import { resume } from '../lifecycle/pause.ts';
import type { CreateOptions } from '../lifecycle/prepare.ts';
import { SIGKILL, signalNumber } from '../lifecycle/signals.ts';
import { idTaken, notFound } from '../lifecycle/store.ts';
import { wait } from '../lifecycle/wait.ts';
import { whileUsing } from '../store/lock.ts';
import { containerPath } from '../store/paths.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/store.ts';
import { forgetCheckpoint, lockCheckpoint } from './checkpoint.ts';
import { awaitInstance, awaitRecord } from './directory.ts';
import type { Exit } from './exit.ts';
import type { InstanceName } from './instances.ts';
import { exitOf, isInstance, loadInstance, observeInstance, runState } from './instances.ts';
import { keptProcess, runKept } from './keeper.ts';
import type { Instance } from './record.ts';
import { removeInstance } from './removal.ts';

/** Milliseconds that a process has to be gone after SIGKILL. */
const PATIENCE = 10_000;

export interface StartOptions extends InstanceName, Pick<CreateOptions, 'cgroupManager' | 'rootless' | 'checkpoint' | 'notifySocket'> {}

/**
 * Runs the program of an instance in the background, with the writable layer as it is: for the first time, or again. With a caller's socket of
 * sd_notify(3) it returns when the program is ready, or has ended.
 *
 * @throws StrataError `status` if it runs; others as {@link runKept} and {@link untilReady}.
 */
export async function startInstance(host: Host, options: StartOptions): Promise<{ readonly pid: number }> {
  return untilReady(
    host,
    options,
    (notify) => startKept(host, options, notify),
    ({ pid }) => keptProcess(host, options, pid),
  );
}

async function startKept(host: Host, options: StartOptions, notify: Descriptor): Promise<{ readonly pid: number }> {
  const { root, id } = options;
  checkId(id);
  const { log, interactive, remove } = loadInstance(openStore(host, options.store), id);
  const directory = containerPath(options.store, id);
  const lock = await takeInstance(host, options, 'start');
  try {
    // What is left of the last time.
    if ((await runState(host, options)) !== undefined) await deleteContainer(host, { ...options, root, id });
    const checkpointLock = await lockCheckpoint(host, id, directory);
    try {
      const kept = await runKept(host, { ...options, notify, bundle: directory, directory, lock, log, interactive, remove });
      await forgetCheckpoint(host, directory);
      return kept;
    } finally {
      host.close(checkpointLock);
    }
  } finally {
    host.close(lock);
  }
}

/** Takes an instance that does not run; a keeper that is just writing down how it has ended is waited for. @throws StrataError `status`, `not-found`. */
export async function takeInstance(host: Host, options: InstanceName, verb: string): Promise<Descriptor> {
  const { id } = options;
  const running = await runState(host, options);
  if (running !== undefined && running.status !== 'stopped') {
    throw new StrataError({ code: 'status', stage: 'state', reason: `cannot ${verb} container ${id}, which is ${running.status}` });
  }
  const directory = containerPath(options.store, id);
  const lock = await awaitInstance(host, directory);
  if (lock !== undefined) return lock;
  if (host.stat(directory) === undefined) throw notFound(id);
  throw inUse(id);
}

function inUse(id: string): StrataError {
  return new StrataError({ code: 'status', stage: 'state', reason: `container ${id} is running, or just being started, copied or removed` });
}

export interface StopOptions extends InstanceName {
  /** Milliseconds that the program has after the stop signal; then it is killed. */
  readonly timeout: number;
  /** Number of the signal in place of the container's own, which is SIGTERM unless its image says otherwise. */
  readonly signal?: number;
}

/** Has a container stop, and returns when that is written down. One that does not run is no error. @throws StrataError `not-found`, `timeout`. */
export async function stopContainer(host: Host, options: StopOptions): Promise<void> {
  const { id } = options;
  checkId(id);
  const known = isInstance(host, options);
  const running = await runState(host, options);
  if (running === undefined && !known) throw notFound(id);
  if (running !== undefined && running.status !== 'stopped') await end(host, options, known, running.status);
  if (known) await settled(host, options);
}

async function end(host: Host, options: StopOptions, known: boolean, status: string): Promise<void> {
  try {
    // A program that does not run yet cannot react, and one that is paused only when it goes on.
    if (status !== 'created' && options.timeout > 0) {
      const own = known ? signalNumber(loadInstance(openStore(host, options.store), options.id).stopSignal) : signalNumber('TERM');
      await kill(host, { ...options, signal: options.signal ?? own });
      if (status === 'paused') await resume(host, options);
      if ((await wait(host, { ...options, timeout: options.timeout })) !== undefined) return;
      options.debug?.(`container ${options.id} did not end within ${options.timeout / 1000} s`);
    }
    await kill(host, { ...options, signal: SIGKILL });
  } catch (error) {
    // It has ended in between, or is deleted already.
    if (!(hasCode(error, 'status') || hasCode(error, 'not-found'))) throw error;
    return;
  }
  if ((await gone(host, options)) === undefined) {
    throw new StrataError({
      code: 'timeout',
      stage: 'state',
      reason: `container ${options.id} did not end within ${PATIENCE / 1000} s after SIGKILL`,
    });
  }
}

async function gone(host: Host, options: InstanceName): Promise<unknown> {
  try {
    return await wait(host, { ...options, timeout: PATIENCE });
  } catch (error) {
    if (hasCode(error, 'not-found')) return 'unknown';
    throw error;
  }
}

/** Waits until its keeper has written down how it has ended. */
async function settled(host: Host, { store, id }: InstanceName): Promise<void> {
  const lock = await awaitInstance(host, containerPath(store, id));
  if (lock !== undefined) host.close(lock);
}

/** Stops an instance, if it runs, and starts it again. @throws StrataError as both do. */
export async function restartInstance(host: Host, options: StopOptions & StartOptions): Promise<{ readonly pid: number }> {
  const { id } = options;
  checkId(id);
  const { remove } = loadInstance(openStore(host, options.store), id);
  if (remove)
    throw new StrataError({ code: 'status', stage: 'state', reason: `container ${id} is deleted when it stops, so it cannot be started again` });
  await stopContainer(host, options);
  return startInstance(host, options);
}

/** Waits until a container has ended, and that is written down; without a code if nobody knows how. @throws StrataError `not-found`; `status` if it was never started. */
export async function waitForExit(host: Host, options: InstanceName): Promise<Pick<Exit, 'code' | 'signal'>> {
  const { id } = options;
  checkId(id);
  const known = isInstance(host, options);
  if (known && (await observeInstance(host, options)).status === 'created' && (await runState(host, options)) === undefined) {
    throw new StrataError({ code: 'status', stage: 'state', reason: `container ${id} has never been started` });
  }
  try {
    const status = await wait(host, options);
    if (typeof status === 'object') {
      if (known) await awaitRecord(host, containerPath(options.store, id));
      return status;
    }
  } catch (error) {
    if (!known || !hasCode(error, 'not-found')) throw error;
  }
  if (known) await settled(host, options);
  return (known ? exitOf({ host, root: options.store }, id) : undefined) ?? {};
}

/** Gives an instance that does not run another id. @throws StrataError `exists`, `status`, `not-found`. */
export async function renameInstance(host: Host, options: InstanceName, id: string): Promise<void> {
  checkId(options.id);
  checkId(id);
  const store = openStore(host, options.store);
  loadInstance(store, options.id);
  if ((await runState(host, { ...options, id })) !== undefined) throw idTaken(id);
  const lock = await takeInstance(host, options, 'rename');
  try {
    if ((await runState(host, options)) !== undefined) await deleteContainer(host, options);
    await whileUsing(store, () => moveInstance(store, options.id, id));
  } finally {
    host.close(lock);
  }
}

function moveInstance(store: Store, from: string, to: string): void {
  const { host, root } = store;
  const directory = containerPath(root, to);
  const record = { ...loadInstance(store, from), id: to };
  try {
    host.rename(containerPath(root, from), directory, false);
  } catch (error) {
    throw hasErrno(error, ERRNO.EEXIST, ERRNO.ENOTEMPTY) ? idTaken(to) : error;
  }
  host.replaceFile(`${directory}/container.json`, `${JSON.stringify(record)}\n`, 0o600);
}

export interface RemovalOptions extends InstanceName {
  /** Kill it if it runs, and be content if there is none. */
  readonly force: boolean;
}

/**
 * Deletes a container: what runs of it, and what the store has of it, with the volumes that nobody has named.
 *
 * @throws StrataError `not-found`, and `status` if it runs, without force; `locked` if its keeper does not let go.
 */
export async function removeContainer(host: Host, options: RemovalOptions): Promise<void> {
  const { id, force } = options;
  checkId(id);
  const known = isInstance(host, options);
  // One of an image need not have anything that runs.
  if (!known || force || (await runState(host, options)) !== undefined) await deleteContainer(host, options);
  if (!known) return;
  const directory = containerPath(options.store, id);
  const lock = await awaitInstance(host, directory);
  if (lock === undefined) {
    if (host.stat(directory) === undefined) return;
    throw inUse(id);
  }
  try {
    const store = openStore(host, options.store);
    const volumes = volumesOf(store, options);
    await whileUsing(store, () => removeInstance(store, { id, volumes }));
  } finally {
    host.close(lock);
  }
}

/** Those of a record that is damaged nobody knows; `prune` finds what is left of them. */
function volumesOf(store: Store, { id, force }: RemovalOptions): Instance['volumes'] {
  try {
    return loadInstance(store, id).volumes;
  } catch (error) {
    if (!force || !(hasCode(error, 'store-damaged') || hasCode(error, 'not-found'))) throw error;
    return [];
  }
}
