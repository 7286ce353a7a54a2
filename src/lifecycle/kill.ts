/** `kill`: a signal to the container's process, or to all of its processes. */
import type { Host } from '../host/host.ts';
import { cgroupDirectories } from './destroy.ts';
import { thawToDie } from './freezer.ts';
import { checkId } from './id.ts';
import { withLock } from './lock.ts';
import { observe } from './observe.ts';
import type { ContainerName } from './report.ts';
import { SIGKILL } from './signals.ts';
import { loadSettled } from './state.ts';
import { permit } from './status.ts';
import type { ContainerRecord } from './store.ts';
import { load } from './store.ts';

export interface KillOptions extends ContainerName {
  /** Signal number; see {@link signalNumber} for names. */
  readonly signal: number;
  /** Every process in the container's cgroup; then a container that has stopped is not an error. */
  readonly all?: boolean;
}

/**
 * Sends a signal. SIGKILL reaches a paused container too.
 *
 * No lock is taken, unless the container is still being created: a `start` that hangs in a hook must not keep anyone from killing it.
 *
 * @throws StrataError `status` with `container not running` if there is nothing to signal.
 */
export async function kill(host: Host, options: KillOptions): Promise<void> {
  const { root, id, all = false } = options;
  checkId(id);
  const record = await created(host, root, id);
  const { status } = observe(host, root, record, false);
  permit(all ? 'kill-all' : 'kill', status, id);
  // Without a pid namespace of its own, the death of the first process leaves the others; SIGKILL is meant for the container.
  const everyone = all || (options.signal === SIGKILL && record.sharedPid);
  const reached = everyone && host.signalCgroup(cgroupDirectories(record), options.signal) > 0;
  if (!reached && status !== 'stopped' && !signalFirst(host, record, options.signal) && !all) permit('kill', 'stopped', id);
  // Frozen processes die of SIGKILL only when they are thawed (cgroup v1), and the one that had them frozen wants them dead.
  if (options.signal === SIGKILL && record.freezer !== undefined && status !== 'stopped') thawToDie(host, record.freezer);
}

function signalFirst(host: Host, record: ContainerRecord, signal: number): boolean {
  if (record.process === undefined) return false;
  const pidfd = host.openProcess(record.process.pid, record.process.startTime);
  if (pidfd === undefined) return false;
  try {
    return host.signal(pidfd, signal);
  } finally {
    host.close(pidfd);
  }
}

/** The record, once nobody is creating the container any more. */
async function created(host: Host, root: string, id: string): Promise<ContainerRecord> {
  const record = await loadSettled(host, root, id);
  if (observe(host, root, record, false).status !== 'creating') return record;
  return withLock(host, root, id, async () => load(host, root, id));
}
