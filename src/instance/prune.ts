/** `prune`: containers of images that have stopped, and then everything in the store that nobody uses. */
import { hasCode } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import type { Report } from '../lifecycle/report.ts';
import { containerPath } from '../store/paths.ts';
import type { Pruned } from '../store/prune.ts';
import { prune } from '../store/prune.ts';
import type { Store } from '../store/store.ts';
import { listInstances, observeInstance } from './instances.ts';
import { removeContainer } from './life.ts';

export interface PruneAllOptions extends Report {
  /** Of the state directories. */
  readonly root: string;
  /** Tells what would be removed. */
  readonly dryRun: boolean;
}

export interface PrunedContainer {
  readonly id: string;
  /** Bytes of its writable layer. */
  readonly size: number;
}

export interface PrunedAll extends Pruned {
  readonly containers: readonly PrunedContainer[];
}

/** One that was created and never started stays: somebody wants it. @throws StrataError `locked`, `system`. */
export async function pruneAll(store: Store, { root, dryRun, ...report }: PruneAllOptions): Promise<PrunedAll> {
  const { host } = store;
  const containers: PrunedContainer[] = [];
  for (const { id } of listInstances(store, report.warn)) {
    const name = { ...report, root, store: store.root, id };
    try {
      if (isHeld(host, containerPath(store.root, id)) || (await observeInstance(host, name)).status !== 'stopped') continue;
      const size = await host.diskUsage(`${containerPath(store.root, id)}/upper`);
      if (!dryRun) await removeContainer(host, { ...name, force: false });
      containers.push({ id, size });
    } catch (error) {
      // Started again or deleted since, or its state is damaged: then it is for its owner to say.
      if (hasCode(error, 'status') || hasCode(error, 'not-found') || hasCode(error, 'locked') || hasCode(error, 'state-damaged')) continue;
      if (host.stat(containerPath(store.root, id)) !== undefined) throw error;
    }
  }
  const without = new Set(dryRun ? containers.map(({ id }) => id) : []);
  return { ...(await prune(store, { all: false, dryRun, without })), containers };
}

/** Whoever runs an instance holds its lock from before its program runs, when it looks stopped, until its end is written down. */
function isHeld(host: Host, directory: string): boolean {
  const lock = host.tryLock(directory);
  if (lock === undefined) return true;
  host.close(lock);
  return false;
}
