/** Freezing the processes of a cgroup: freezer.state on cgroup v1, cgroup.freeze on v2. */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { isCgroupGone } from './fault.ts';
import type { Freezer } from './store.ts';

/** Milliseconds until a freeze that does not come about is taken back. */
const PATIENCE = 10_000;
const LONGEST_PAUSE = 50;

/** Whether the cgroup is frozen, or on its way to be. One that is gone is not. */
export function isFrozen(host: Host, freezer: Freezer | undefined): boolean {
  if (freezer === undefined) return false;
  try {
    if (freezer.version === 1) return host.readText(`${freezer.directory}/freezer.state`).trim() !== 'THAWED';
    return host.readText(`${freezer.directory}/cgroup.freeze`).trim() === '1';
  } catch (error) {
    if (isCgroupGone(error)) return false;
    throw error;
  }
}

/**
 * Freezes the cgroup and waits until every process stands still.
 *
 * @throws StrataError `timeout` if that takes over 10 s; then the cgroup is thawed again.
 */
export async function freeze(host: Host, freezer: Freezer): Promise<void> {
  const end = host.now() + PATIENCE;
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    // On v1 the state must be written again: processes that were forked meanwhile are only caught by a new attempt.
    request(host, freezer, true);
    if (isSettled(host, freezer)) return;
    if (host.now() >= end) {
      request(host, freezer, false);
      throw new StrataError({
        code: 'timeout',
        stage: 'state',
        reason: 'the container could not be frozen',
        path: freezer.directory,
        hint: `a process in it did not stop within ${PATIENCE / 1000} s; it runs on`,
      });
    }
    await host.sleep(pause);
  }
}

/** Lets the processes run on; a cgroup that is gone has none. */
export function thaw(host: Host, freezer: Freezer): void {
  try {
    request(host, freezer, false);
  } catch (error) {
    if (!isCgroupGone(error)) throw error;
  }
}

/**
 * Lets everything in the cgroup and below run, so that it can die: on v1 a frozen process does not, and the first process of a pid namespace waits
 * for all others. A container that was given its cgroups to write to may have frozen some itself. On v2 SIGKILL reaches frozen processes.
 */
export function thawToDie(host: Host, freezer: Freezer): void {
  thaw(host, freezer);
  if (freezer.version === 2) return;
  for (const name of listIfThere(host, freezer.directory)) {
    const directory = `${freezer.directory}/${name}`;
    if (host.stat(directory)?.type === 'directory') thawToDie(host, { version: 1, directory });
  }
}

function listIfThere(host: Host, directory: string): string[] {
  try {
    return host.list(directory);
  } catch (error) {
    if (isCgroupGone(error)) return [];
    throw error;
  }
}

function request(host: Host, freezer: Freezer, frozen: boolean): void {
  if (freezer.version === 1) host.writeText(`${freezer.directory}/freezer.state`, frozen ? 'FROZEN' : 'THAWED');
  else host.writeText(`${freezer.directory}/cgroup.freeze`, frozen ? '1' : '0');
}

function isSettled(host: Host, freezer: Freezer): boolean {
  if (freezer.version === 1) return host.readText(`${freezer.directory}/freezer.state`).trim() === 'FROZEN';
  return host.readText(`${freezer.directory}/cgroup.events`).split('\n').includes('frozen 1');
}
