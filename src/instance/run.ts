/** Running an image: an instance is made, and its program run in front of the caller, or kept in the background. */
import type { Descriptor, ExitStatus, Host } from '../host/host.ts';
import type { Up } from '../lifecycle/bring-up.ts';
import { deleteContainer } from '../lifecycle/delete.ts';
import type { CreateOptions } from '../lifecycle/prepare.ts';
import { runDetached, runForeground } from '../lifecycle/run.ts';
import { hasState } from '../lifecycle/store.ts';
import { whileUsing } from '../store/lock.ts';
import type { CreatedInstance, InstanceOptions } from './create.ts';
import { createInstance, discardInstance } from './create.ts';
import { recordStart } from './directory.ts';
import { recordExit } from './exit.ts';
import { runKept } from './keeper.ts';
import { removeInstance } from './removal.ts';

/** The rest of what the lifecycle is told; the container's own is decided by the image and the {@link InstanceOptions}. */
export type Running = Pick<
  CreateOptions,
  'rootless' | 'noPivot' | 'noNewKeyring' | 'preserveFds' | 'listenFds' | 'pidFile' | 'pidfdSocket' | 'checkpoint'
>;

/**
 * Runs a program of the image in front of the caller. Afterwards the instance stays with its writable layer, unless it is to be removed.
 *
 * @throws StrataError of any code; then nothing of the instance is left, unless its program has run.
 */
export async function runInstance(host: Host, options: InstanceOptions & Running): Promise<ExitStatus> {
  const created = await createInstance(host, options);
  try {
    const status = await unlessFailed(host, options, created, () => inForeground(host, options, created));
    if (options.remove) await whileUsing(created.store, () => removeInstance(created.store, created.instance));
    return status;
  } finally {
    host.close(created.lock);
  }
}

/** Runs a program of the image in the background. @throws StrataError of any code; then nothing of the instance is left. */
export async function runInstanceKept(host: Host, options: InstanceOptions & Running): Promise<{ readonly pid: number }> {
  const created = await createInstance(host, options);
  const { directory, spec, lock } = created;
  try {
    return await unlessFailed(host, options, created, () => runKept(host, { ...options, bundle: directory, directory, spec, lock }));
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
    const up = await unlessFailed(host, options, created, async () => {
      recordStart(host, directory);
      return runDetached(host, { ...options, bundle: directory, spec });
    });
    const ended = async (status: ExitStatus): Promise<void> => {
      try {
        recordExit(host, directory, status, up.record);
        if (!options.remove) return;
        await deleteContainer(host, { ...options, force: true });
        await whileUsing(store, () => removeInstance(store, instance));
      } finally {
        host.close(lock);
      }
    };
    return { ...up, ended };
  } catch (error) {
    host.close(lock);
    throw error;
  }
}

async function inForeground(host: Host, options: InstanceOptions & Running, { directory, spec }: CreatedInstance): Promise<ExitStatus> {
  const stdin = options.interactive || options.terminal ? 0 : atItsEnd(host);
  try {
    recordStart(host, directory);
    return await runForeground(host, {
      ...options,
      bundle: directory,
      spec,
      stdio: [stdin, 1, 2],
      ended: (status, record) => recordExit(host, directory, status, record),
    });
  } finally {
    if (stdin !== 0) host.close(stdin);
  }
}

/** What can be read from and has nothing. */
function atItsEnd(host: Host): Descriptor {
  const [end, other] = host.pipe();
  host.close(other);
  return end;
}

/** Takes the instance back if its program could not be run. */
async function unlessFailed<T>(host: Host, { root, id }: InstanceOptions, created: CreatedInstance, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // With an exit or a run state, the program has run.
    if (host.stat(`${created.directory}/exit.json`) === undefined && !hasState(host, root, id)) await discardInstance(created);
    throw error;
  }
}
