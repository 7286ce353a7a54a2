/** Running an image: an instance is made, and its program run in front of the caller, or kept in the background. */
import type { Descriptor, ExitStatus, Host } from '../host/host.ts';
import type { Up } from '../lifecycle/bring-up.ts';
import { deleteContainer } from '../lifecycle/delete.ts';
import { untilReady } from '../lifecycle/notify.ts';
import { MemoryVerdict } from '../lifecycle/oom.ts';
import type { CreateOptions } from '../lifecycle/prepare.ts';
import { runDetached, runForeground } from '../lifecycle/run.ts';
import { withCleanupFault } from '../lifecycle/start.ts';
import { hasState } from '../lifecycle/store.ts';
import { whileUsing } from '../store/lock.ts';
import type { CreatedInstance, InstanceOptions } from './create.ts';
import { createInstance, discardInstance } from './create.ts';
import { recordStart } from './directory.ts';
import { recordExit } from './exit.ts';
import { keptProcess, notifyPlaceOf, runKept } from './keeper.ts';
import { removeInstance } from './removal.ts';

/** The rest of what the lifecycle is told; the container's own is decided by the image and the {@link InstanceOptions}. */
export type Running = Pick<
  CreateOptions,
  'cgroupManager' | 'rootless' | 'noPivot' | 'noNewKeyring' | 'preserveFds' | 'listenFds' | 'pidFile' | 'pidfdSocket' | 'notifySocket' | 'checkpoint'
>;

/**
 * Runs a program of the image in front of the caller. Afterwards the instance stays with its writable layer, unless it is to be removed.
 *
 * @throws StrataError of any code; then nothing of the instance is left, unless its program has run.
 */
export async function runInstance(host: Host, options: InstanceOptions & Running): Promise<ExitStatus> {
  const created = await createInstance(host, options);
  const { store, instance, directory, spec, lock } = created;
  const stdin = options.interactive || options.terminal ? 0 : atItsEnd(host);
  let hasRun = false;
  const ended = (status: ExitStatus, oomKilled: () => boolean): void => {
    hasRun = true;
    if (!options.remove) recordExit(host, directory, status, oomKilled());
  };
  try {
    recordStart(host, directory);
    const status = await runForeground(host, { ...options, ...notifyPlaceOf(options), bundle: directory, spec, stdio: [stdin, 1, 2], ended });
    if (options.remove) await whileUsing(store, () => removeInstance(store, instance));
    return status;
  } catch (error) {
    throw hasRun ? error : await withdrawn(host, options, created, error);
  } finally {
    if (stdin !== 0) host.close(stdin);
    host.close(lock);
  }
}

/**
 * Runs a program of the image in the background, and with a caller's socket of sd_notify(3) returns when it is ready, or has ended.
 *
 * @throws StrataError of any code; then nothing of the instance is left, unless it was waited for: that ends with `aborted`.
 */
export async function runInstanceKept(host: Host, options: InstanceOptions & Running): Promise<{ readonly pid: number }> {
  return untilReady(
    host,
    options,
    (notify) => createKept(host, options, notify),
    ({ pid }) => keptProcess(host, options, pid),
  );
}

async function createKept(host: Host, options: InstanceOptions & Running, notify: Descriptor): Promise<{ readonly pid: number }> {
  const created = await createInstance(host, options);
  const { directory, spec, lock } = created;
  try {
    return await runKept(host, { ...options, notify, bundle: directory, directory, spec, lock });
  } catch (error) {
    throw await withdrawn(host, options, created, error);
  } finally {
    host.close(lock);
  }
}

/** A program of an image that its caller has in hand. */
export interface HeldInstance extends Up {
  /** To be called with how the program has ended: records it, and removes the instance if that was asked for. */
  readonly ended: (status: ExitStatus) => Promise<void>;
}

/**
 * Runs a program of the image with the standard streams that the caller gives it, and returns when it runs.
 *
 * @throws StrataError of any code; then nothing of the instance is left.
 */
export async function runInstanceHeld(
  host: Host,
  options: InstanceOptions & Running & Pick<CreateOptions, 'stdio' | 'console'>,
): Promise<HeldInstance> {
  const created = await createInstance(host, options);
  const { directory, spec, lock, store, instance } = created;
  try {
    recordStart(host, directory);
    let memory: MemoryVerdict | undefined;
    const up = await runDetached(host, { ...options, ...notifyPlaceOf(options), bundle: directory, spec }, (record) => {
      memory = new MemoryVerdict(host, record);
    });
    const ended = async (status: ExitStatus): Promise<void> => {
      try {
        recordExit(host, directory, status, memory?.wasShort(up.record) ?? false);
        if (!options.remove) return;
        await deleteContainer(host, { ...options, force: true });
        await whileUsing(store, () => removeInstance(store, instance));
      } finally {
        host.close(lock);
      }
    };
    return { ...up, ended };
  } catch (error) {
    const cause = await withdrawn(host, options, created, error);
    host.close(lock);
    throw cause;
  }
}

/** Takes the instance back, unless something of its container is left: then it is for `delete` to clear up both. Gives back what to throw. */
async function withdrawn(host: Host, { root, id }: InstanceOptions, created: CreatedInstance, cause: unknown): Promise<unknown> {
  try {
    if (!hasState(host, root, id)) await discardInstance(created);
  } catch (fault) {
    return withCleanupFault(cause, fault);
  }
  return cause;
}

/** What can be read from and has nothing. */
export function atItsEnd(host: Host): Descriptor {
  const [end, other] = host.pipe();
  host.close(other);
  return end;
}
