/** What a container is at this moment: the record tells how far the work had come, the kernel tells the rest. */
import type { Host } from '../host/host.ts';
import { isFrozen } from './freezer.ts';
import { isLocked } from './lock.ts';
import type { Status } from './status.ts';
import type { ContainerRecord } from './store.ts';
import { startSocket } from './store.ts';

export interface Observation {
  readonly status: Status;
  /** 0 when there is no process. */
  readonly pid: number;
}

/**
 * Looks at the container's process, its freezer and its start socket.
 *
 * A record of `creating` is believed only while somebody holds the lock: a create that was killed leaves `stopped` once its process has
 * followed it. `held`: the caller itself holds the lock.
 */
export function observe(host: Host, root: string, record: ContainerRecord, held: boolean): Observation {
  const alive = isAlive(host, record);
  const pid = alive ? (record.process?.pid ?? 0) : 0;
  if (record.status === 'creating' && !held && isLocked(host, root, record.id)) return { status: 'creating', pid };
  if (!alive) return { status: 'stopped', pid: 0 };
  if (isFrozen(host, record.freezer)) return { status: 'paused', pid };
  if (record.status === 'running') return { status: 'running', pid };
  // A `start` or `run` that was killed before it could record its success has still run the program.
  return { status: host.awaitsStart(startSocket(root, record.id)) ? 'created' : 'running', pid };
}

/** Whether the very process of the record lives; one that merely has its pid does not count. */
export function isAlive(host: Host, record: ContainerRecord): boolean {
  if (record.process === undefined) return false;
  const pidfd = host.openProcess(record.process.pid, record.process.startTime);
  if (pidfd === undefined) return false;
  host.close(pidfd);
  return true;
}
