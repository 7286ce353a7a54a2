/** Reading what a container has written while nothing in it can write. */
import { StrataError, withFields } from '../base/error.ts';
import { hasCode } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import { pause, resume } from '../lifecycle/pause.ts';
import { state } from '../lifecycle/state.ts';
import { containerPath } from '../store/paths.ts';
import type { InstanceName } from './instances.ts';

/** An ordinary user's container may have no cgroup to be frozen in. */
async function freeze(host: Host, container: Parameters<typeof pause>[1]): Promise<void> {
  try {
    await pause(host, container);
  } catch (error) {
    if (!(error instanceof StrataError) || error.code !== 'config-unsupported') throw error;
    throw withFields(error, { hint: 'with pause false it is read while it goes on' });
  }
}

/** Runs `work` with the processes of the container frozen, if it has any. */
export async function whilePaused<Value>(
  host: Host,
  { root, id, store }: Pick<InstanceName, 'root' | 'id' | 'store'>,
  warn: (text: string) => void,
  work: () => Promise<Value>,
): Promise<Value> {
  const container = { root, id, warn };
  const statusNow = (): Promise<string> => statusOf(host, container, containerPath(store, id));
  /** Whether it was `from` and has been changed: it may end, and others may pause or resume it, at any moment, which is no failure of the work. */
  const change = async (from: string, verb: () => Promise<void>): Promise<boolean> => {
    if ((await statusNow()) !== from) return false;
    try {
      await verb();
      return true;
    } catch (error) {
      if ((await statusNow()) === from) throw error;
      return false;
    }
  };
  if (!(await change('running', () => freeze(host, container)))) return work();
  try {
    return await work();
  } finally {
    await change('paused', () => resume(host, container));
  }
}

/** Of the container with this bundle: one of another bundle may run under the id of one that has stopped. */
async function statusOf(host: Host, container: { readonly root: string; readonly id: string }, directory: string): Promise<string> {
  try {
    const { bundle, status } = await state(host, container);
    return bundle === host.realPath(directory) ? status : 'stopped';
  } catch (error) {
    if (hasCode(error, 'not-found')) return 'stopped';
    throw error;
  }
}
