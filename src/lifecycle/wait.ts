/** Waiting for a container to exit. */
import type { ExitStatus, Host } from '../host/host.ts';
import { checkId } from './id.ts';
import type { ContainerName } from './report.ts';
import { loadSettled } from './state.ts';

export interface WaitOptions extends ContainerName {
  /** Milliseconds; without it, as long as it takes. */
  readonly timeout?: number;
}

/**
 * Waits, in the event loop, until the container's process has exited: at once if it has already. `'unknown'` when nobody can tell how: it was
 * gone before, or it was another process's child and the kernel is older than 6.15. `undefined` when the time is over.
 */
export async function wait(host: Host, options: WaitOptions): Promise<ExitStatus | 'unknown' | undefined> {
  checkId(options.id);
  const record = await loadSettled(host, options.root, options.id);
  const pidfd = record.process && host.openProcess(record.process.pid, record.process.startTime);
  if (pidfd === undefined) return 'unknown';
  try {
    return await host.waitExit(pidfd, options.timeout ?? -1);
  } finally {
    host.close(pidfd);
  }
}
