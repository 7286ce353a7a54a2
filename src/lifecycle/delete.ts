/** `delete`: everything that create made, undone. */

import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { destroy, killProcess } from './destroy.ts';
import { hasCode } from './fault.ts';
import { checkId } from './id.ts';
import { withLock } from './lock.ts';
import { observe } from './observe.ts';
import type { ContainerName } from './report.ts';
import { permit } from './status.ts';
import type { ContainerRecord } from './store.ts';
import { checkRoot, containerDirectory, load, notFound, release } from './store.ts';

export interface DeleteOptions extends ContainerName {
  /** Kill the container if it is not stopped, remove a damaged state, and be content if there is no such container. */
  readonly force?: boolean;
}

/**
 * Deletes a stopped container; with `force` any.
 *
 * @throws StrataError `not-found`, `status`, `state-damaged` without force; `locked`, `timeout` or `system` if it cannot be removed.
 */
export async function deleteContainer(host: Host, options: DeleteOptions): Promise<void> {
  const { root, id, force = false } = options;
  checkId(id);
  try {
    if (!checkRoot(host, root) || host.stat(containerDirectory(root, id)) === undefined) throw notFound(id);
    // Whoever holds the lock may be waiting for this very process, as a start does for a hook inside the container.
    if (force) killBeforehand(host, root, id);
    await withLock(host, root, id, () => (force ? remove(host, options) : removeStopped(host, options)));
  } catch (error) {
    if (!force || !hasCode(error, 'not-found')) throw error;
  }
}

async function removeStopped(host: Host, options: DeleteOptions): Promise<void> {
  const { root, id } = options;
  const record = load(host, root, id);
  permit('delete', observe(host, root, record, true).status, id);
  await destroy(host, root, record, options);
}

async function remove(host: Host, options: DeleteOptions): Promise<void> {
  const { root, id } = options;
  let record: ContainerRecord;
  try {
    record = load(host, root, id);
  } catch (error) {
    if (!(error instanceof StrataError) || error.code !== 'state-damaged') throw error;
    // A missing file is what an interrupted create or delete leaves, and then nothing else is left; other damage is not of our making.
    if (!error.reason.endsWith('is missing')) options.warn?.(`${error.reason}; processes and cgroups that it may have named are left alone`);
    await release(host, root, id);
    return;
  }
  await destroy(host, root, record, options);
}

function killBeforehand(host: Host, root: string, id: string): void {
  let record: ContainerRecord;
  try {
    record = load(host, root, id);
  } catch {
    return;
  }
  killProcess(host, record);
}
