/** How a container's program ended, as `exit.json` in its directory tells it. */
import type { ExitStatus, Host } from '../host/host.ts';
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

/** Records it. `oomKilled`: see {@link Exit}. */
export function recordExit(host: Host, directory: string, { code, signal }: ExitStatus, oomKilled: boolean): void {
  const exit: Exit = { code, ...(signal !== undefined && { signal }), finished: host.timestamp(), oomKilled };
  host.replaceFile(exitFile(directory), `${JSON.stringify(exit)}\n`, 0o600);
}
