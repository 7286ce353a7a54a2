/** `run`: create and start in one, and in the foreground also wait and delete. */
import { StrataError } from '../base/error.ts';
import type { Descriptor, ExitStatus, Host } from '../host/host.ts';
import type { Up } from './bring-up.ts';
import { bringUp } from './bring-up.ts';
import { checkTerminal } from './create.ts';
import { destroy } from './destroy.ts';
import { hasCode } from './fault.ts';
import { withLock } from './lock.ts';
import { untilReady, whileHeard } from './notify.ts';
import { MemoryVerdict } from './oom.ts';
import type { CreateOptions, Prepared } from './prepare.ts';
import { prepare } from './prepare.ts';
import { checkProgram } from './start.ts';
import type { ContainerRecord } from './store.ts';
import { load } from './store.ts';

export interface RunOptions extends CreateOptions {
  /** Leave the container when its program has exited, for a later delete. */
  readonly keep?: boolean;
  /** Told how the program has ended; `oomKilled` finds out, until this returns, whether the kernel has killed a process of it for want of memory. */
  readonly ended?: (status: ExitStatus, oomKilled: () => boolean) => void;
}

/**
 * Runs the program and returns when it runs, and with a caller's socket of sd_notify(3) when it is ready or has ended.
 * `begins`: called with what will be made, before it is.
 *
 * @throws StrataError of any code; then nothing of the container is left, unless it was waited for: that ends with `aborted`.
 */
export async function runDetached(host: Host, options: CreateOptions, begins?: (record: ContainerRecord) => void): Promise<Up> {
  const prepared = prepare(host, options);
  checkProgram(prepared.record);
  checkTerminal(prepared.record.terminal, options);
  begins?.(prepared.record);
  let up: Up | undefined;
  const bring = async (notify: Descriptor): Promise<Up> => {
    up = await bringUp(host, { ...options, notify }, prepared, false);
    return up;
  };
  try {
    return await untilReady(host, options, bring, ({ record }) => record.process);
  } catch (error) {
    if (up !== undefined) host.close(up.pidfd);
    throw error;
  }
}

/** Runs the program in front of the caller: its terminal or stdio, its signals, its exit status. Deletes the container afterwards. */
export async function runForeground(host: Host, options: RunOptions): Promise<ExitStatus> {
  refuseConsoleSocket(options);
  // The program may ask for the size before we could change it.
  const consoleSize = host.windowSize();
  const prepared = prepare(host, consoleSize === undefined ? options : { ...options, consoleSize });
  checkProgram(prepared.record);
  return attend(host, options, prepared, (own) => bringUp(host, own, prepared, false));
}

/** @throws StrataError `usage`: who stands in front of a container has its terminal. */
export function refuseConsoleSocket({ consoleSocket }: RunOptions): void {
  if (consoleSocket === undefined) return;
  throw new StrataError({ code: 'usage', stage: 'check', reason: 'cannot use a console socket in the foreground', hint: 'give --detach too' });
}

/** Stands in front of a container that `bring` brings up, and deletes it afterwards. `running`: it is up; not to throw. */
export async function attend<Options extends RunOptions>(
  host: Host,
  options: Options,
  prepared: Prepared,
  bring: (options: Options) => Promise<Up>,
  running?: () => Promise<void>,
): Promise<ExitStatus> {
  return whileHeard(host, prepared.record, options, async (notify) => {
    const memory = options.ended && new MemoryVerdict(host, prepared.record);
    const { up, master } = await withTerminal(host, notify === undefined ? options : { ...options, notify: notify.socket }, prepared, bring);
    let status: ExitStatus;
    try {
      await running?.();
      status = await host.foreground(up.pidfd, master, notify);
    } finally {
      host.close(up.pidfd);
      if (master !== -1) host.close(master);
    }
    options.ended?.(status, () => memory?.wasShort(up.record) ?? false);
    if (options.keep !== true) await removeStopped(host, options, up);
    return status;
  });
}

/** Brings the container up; with a terminal, its master comes back through a pair of sockets. */
async function withTerminal<Options extends RunOptions>(
  host: Host,
  options: Options,
  prepared: Prepared,
  bring: (options: Options) => Promise<Up>,
): Promise<{ up: Up; master: Descriptor }> {
  if (!prepared.record.terminal) return { up: await bring(options), master: -1 };
  const [mine, theirs] = host.socketPair();
  try {
    const up = await bring({ ...options, console: theirs });
    return { up, master: await host.receiveDescriptor(mine) };
  } finally {
    host.close(mine);
    host.close(theirs);
  }
}

/** Somebody else may have deleted the container, and even used its id again: only what we brought up is removed. */
async function removeStopped(host: Host, options: RunOptions, up: Up): Promise<void> {
  const { root, id } = options;
  try {
    await withLock(host, root, id, async () => {
      const record = load(host, root, id, up.record);
      if (record.process?.pid === up.pid && record.process.startTime === up.record.process?.startTime) await destroy(host, root, record, options);
    });
  } catch (error) {
    if (!hasCode(error, 'not-found')) throw error;
  }
}
