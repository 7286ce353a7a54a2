/** Reading what a container has written while nothing in it can write. */
import { hasCode } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import { pause, resume } from '../lifecycle/pause.ts';
import { state } from '../lifecycle/state.ts';
import { containerPath } from '../store/paths.ts';
import type { InstanceName } from './instances.ts';

/** Runs `work` with the processes of the container frozen, if it has any. */
export async function whilePaused<Value>(
  host: Host,
  { root, id, store }: Pick<InstanceName, 'root' | 'id' | 'store'>,
  warn: (text: string) => void,
  work: () => Promise<Value>,
): Promise<Value> {
  const container = { root, id, warn };
  const statusNow = (): Promise<string> => statusOf(host, container, containerPath(store, id));
  if ((await statusNow()) !== 'running') return work();
  await pause(host, container);
  try {
    return await work();
  } finally {
    // It may have been killed meanwhile, or resumed by somebody else.
    if ((await statusNow()) === 'paused') await resume(host, container);
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
