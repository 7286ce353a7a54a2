/** Undoing a container: the one path for delete, for a create that failed, and for a run that is over (runtime.md#lifecycle, steps 12, 13). */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { ERRNO, hasErrno } from './fault.ts';
import { thawToDie } from './freezer.ts';
import { runPoststopHooks } from './hooks.ts';
import { removeRdtGroups } from './rdt.ts';
import type { Report } from './report.ts';
import { endScope } from './scope.ts';
import { SIGKILL } from './signals.ts';
import { hookState } from './state.ts';
import type { CgroupIntent, ContainerRecord } from './store.ts';
import { release } from './store.ts';

/** Milliseconds that killed processes are given to be gone. */
const PATIENCE = 10_000;
/** Milliseconds that a cgroup without processes may stay busy while the kernel clears up behind the last one. */
const SHORT = 200;
const LONGEST_PAUSE = 50;

/**
 * Kills what lives, removes the cgroups, runs the poststop hooks and removes the state, in this order: whatever interrupts it leaves a state
 * from which it can be done again. The caller holds the container's lock.
 *
 * @throws StrataError `timeout` if a process outlives SIGKILL, `system` if a cgroup cannot be removed; the state is then still there.
 */
export async function destroy(host: Host, root: string, record: ContainerRecord, report: Report): Promise<void> {
  await killFirst(host, record);
  await removeCgroups(host, record);
  if (record.systemd !== undefined) await endScope(host, record.systemd, cgroupDirectories(record)[0]);
  if (record.rdt !== undefined) removeRdtGroups(host, record.rdt);
  if (record.hooksBegun && record.poststop.length > 0) await runPoststopHooks(host, record.poststop, hookState(record, 'stopped'), report);
  await release(host, root, record.id);
}

/** SIGKILL for the first process, if it lives; whether it did. A frozen one is thawed, for on cgroup v1 it would die only then. */
export function killProcess(host: Host, record: ContainerRecord): boolean {
  if (record.process === undefined) return false;
  const pidfd = host.openProcess(record.process.pid, record.process.startTime);
  if (pidfd === undefined) return false;
  try {
    host.signal(pidfd, SIGKILL);
  } finally {
    host.close(pidfd);
  }
  if (record.freezer !== undefined) thawToDie(host, record.freezer);
  return true;
}

/** Host paths of the container's cgroups. */
export function cgroupDirectories(record: ContainerRecord): string[] {
  return record.cgroups.map(({ hierarchy, path }) => cgroupDirectory(hierarchy, path));
}

export function cgroupDirectory(hierarchy: string, path: string): string {
  return hierarchy === '/' ? path : `${hierarchy}${path}`;
}

async function killFirst(host: Host, record: ContainerRecord): Promise<void> {
  if (record.process === undefined) return;
  const pidfd = host.openProcess(record.process.pid, record.process.startTime);
  if (pidfd === undefined) return;
  try {
    host.signal(pidfd, SIGKILL);
    if (record.freezer !== undefined) thawToDie(host, record.freezer);
    if ((await host.waitExit(pidfd, PATIENCE)) === undefined) throw outlived(`process ${record.process.pid}`, record.id);
  } finally {
    host.close(pidfd);
  }
}

/** A process that had the pid namespace to itself took all others with it; only where one may be left is the cgroup searched for them. */
async function removeCgroups(host: Host, record: ContainerRecord): Promise<void> {
  const complete = record.process !== undefined && record.status !== 'creating';
  if (record.sharedPid || !complete) await killRest(host, record);
  const busy = await removeAll(host, record, SHORT);
  if (busy === undefined) return;
  await killRest(host, record);
  const failed = await removeAll(host, record, PATIENCE);
  if (failed !== undefined) throw failed;
}

/** The error if a cgroup stayed busy; any other error is thrown. */
async function removeAll(host: Host, record: ContainerRecord, timeout: number): Promise<unknown> {
  try {
    await host.removeCgroups(record.cgroups, timeout);
    // Later on, everything that was made bears the core's mark, where that can be set.
    if (record.status === 'creating' || record.unmarked === true) for (const cgroup of record.cgroups) removeParents(host, cgroup);
    return undefined;
  } catch (error) {
    if (!hasErrno(error, ERRNO.EBUSY, ERRNO.ENOTEMPTY)) throw error;
    return error;
  }
}

/** Removes the cgroups above a container's that are, or were to be, made with it, unless they are in use or gone. */
function removeParents(host: Host, { hierarchy, path, top }: CgroupIntent): void {
  if (top === undefined) return;
  for (let parent = path; parent !== top; ) {
    parent = parent.slice(0, parent.lastIndexOf('/'));
    try {
      host.removeDirectory(cgroupDirectory(hierarchy, parent));
    } catch (error) {
      if (hasErrno(error, ERRNO.EBUSY, ERRNO.ENOTEMPTY)) return;
      if (!hasErrno(error, ERRNO.ENOENT)) throw error;
    }
  }
}

async function killRest(host: Host, record: ContainerRecord): Promise<void> {
  const directories = cgroupDirectories(record);
  if (directories.length === 0) return;
  const end = host.now() + PATIENCE;
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    const left = host.signalCgroup(directories, SIGKILL);
    if (left === 0) return;
    if (record.freezer !== undefined) thawToDie(host, record.freezer);
    if (host.now() >= end) throw outlived(`${left} process${left === 1 ? '' : 'es'} in its cgroup`, record.id);
    await host.sleep(pause);
  }
}

function outlived(what: string, id: string): StrataError {
  return new StrataError({
    code: 'timeout',
    stage: 'delete',
    reason: `container ${id} cannot be removed: ${what} did not end within ${PATIENCE / 1000} s after SIGKILL`,
    hint: 'a process that waits for a device or a file server ends when that answers; then delete again',
  });
}
