/** How a container's program ended, as `exit.json` in its directory tells it. */
import { isCgroupGone } from '../base/fault.ts';
import type { ExitStatus, Host } from '../host/host.ts';
import { cgroupDirectories } from '../lifecycle/destroy.ts';
import type { ContainerRecord } from '../lifecycle/store.ts';
import { exitFile } from './directory.ts';

/** exit.json */
export interface Exit {
  /** As a shell has it; absent if nobody could find out. */
  readonly code?: number;
  /** The number of the signal that ended it. */
  readonly signal?: number;
  /** RFC 3339. */
  readonly finished: string;
  /** The kernel has killed a process of the container for want of memory. */
  readonly oomKilled: boolean;
}

/** Records it, as long as the container's cgroups are there to be asked. */
export function recordExit(host: Host, directory: string, { code, signal }: ExitStatus, record: ContainerRecord): void {
  const exit: Exit = { code, ...(signal !== undefined && { signal }), finished: host.timestamp(), oomKilled: wasOutOfMemory(host, record) };
  host.replaceFile(exitFile(directory), `${JSON.stringify(exit)}\n`, 0o600);
}

function wasOutOfMemory(host: Host, record: ContainerRecord): boolean {
  const path = memoryEvents(host, record);
  try {
    return path !== '' && /^oom_kill [1-9]/m.test(host.readText(path));
  } catch (error) {
    // systemd takes a scope away as soon as it is empty, and others may delete the container.
    if (isCgroupGone(error)) return false;
    throw error;
  }
}

/** The file in which the kernel counts the processes that it has killed for want of memory; '' if there is none. */
export function memoryEvents(host: Host, record: ContainerRecord): string {
  for (const directory of cgroupDirectories(record)) {
    for (const name of ['memory.oom_control', 'memory.events']) if (host.stat(`${directory}/${name}`) !== undefined) return `${directory}/${name}`;
  }
  return '';
}
