/**
 * A container in the background: it comes up as with `run`, and a keeper of its own (native/keeper) stays with it, which holds its terminal or
 * pipes, writes its log, lets others attach and records how it ended, whatever becomes of us.
 */
import type { ErrorFields } from '../base/error.ts';
import { StrataError, withFields } from '../base/error.ts';
import type { Descriptor, Host } from '../host/host.ts';
import type { Up } from '../lifecycle/bring-up.ts';
import { bringUp } from '../lifecycle/bring-up.ts';
import { destroy } from '../lifecycle/destroy.ts';
import { hasCode, internalError } from '../lifecycle/fault.ts';
import { withLock } from '../lifecycle/lock.ts';
import { countsAround, memoryEvents } from '../lifecycle/oom.ts';
import type { CreateOptions, Prepared } from '../lifecycle/prepare.ts';
import { prepare } from '../lifecycle/prepare.ts';
import type { ContainerName } from '../lifecycle/report.ts';
import { checkProgram, withCleanupFault } from '../lifecycle/start.ts';
import type { ContainerRecord } from '../lifecycle/store.ts';
import { load } from '../lifecycle/store.ts';
import { NOTIFY_PLACE } from '../plan/notify.ts';
import { attachSocket, recordStart } from './directory.ts';
import type { LogSettings } from './record.ts';

export interface KeptOptions extends Omit<CreateOptions, 'stdio' | 'console' | 'consoleSocket'> {
  /** The directory of the store, for the command that removes the container. */
  readonly store: string;
  /** The instance's own in it, absolute: there its log and its exit are recorded. */
  readonly directory: string;
  /** A lock on that directory (`lockInstance`), which the keeper holds as long as the container runs; the caller's to close. */
  readonly lock: Descriptor;
  /** Keep its standard input open for whoever attaches. */
  readonly interactive: boolean;
  readonly log: LogSettings;
  /** Delete the container when its program has exited. */
  readonly remove: boolean;
  /** How it comes up, if not by {@link bringUp}. */
  readonly bring?: (streams: Pick<CreateOptions, 'stdio' | 'console'>, prepared: Prepared) => Promise<Up>;
}

/** How the process that made the container tells the one that was asked for it. */
type Told = { readonly pid: number } | { readonly error: ErrorFields };

/**
 * Runs the program in the background, and returns when it runs and is kept.
 *
 * In the static command this process is doubled first, and the other makes the container and becomes its keeper: so the keeper is its parent,
 * and learns on any kernel how it ends. On Node, which cannot be doubled, the keeper asks the kernel (Linux 6.15 and later).
 *
 * @throws StrataError of any code; then nothing of the container is left but the instance's directory.
 */
export async function runKept(host: Host, options: KeptOptions): Promise<{ readonly pid: number }> {
  const prepared = prepare(host, { ...options, ...notifyPlaceOf(options) });
  checkProgram(prepared.record);
  const told = host.divide();
  if (told !== undefined) return outcomeOf(told);
  try {
    return await keep(host, options, prepared);
  } catch (error) {
    host.tell(JSON.stringify({ error: fieldsOf(error) } satisfies Told));
    throw error;
  }
}

/** Where an instance has its socket of sd_notify(3), whatever its caller's is called: no name of the host's comes into the writable layer. */
export function notifyPlaceOf({ notifySocket }: Pick<CreateOptions, 'notifySocket'>): Pick<CreateOptions, 'notifyPlace'> {
  return notifySocket === undefined ? {} : { notifyPlace: NOTIFY_PLACE };
}

/** The process of a container that is kept, for {@link untilReady}. One whose state its keeper has removed already is found no more: it has ended. */
export function keptProcess(host: Host, { root, id }: ContainerName, pid: number): NonNullable<ContainerRecord['process']> {
  try {
    const { process } = load(host, root, id);
    if (process?.pid === pid) return process;
  } catch (error) {
    if (!(hasCode(error, 'not-found') || hasCode(error, 'state-damaged'))) throw error;
  }
  return { pid, startTime: 0n };
}

/** @throws StrataError, as the other process has thrown it. */
function outcomeOf(text: string): { readonly pid: number } {
  if (text === '') throw internalError(new Error('the process that was making the container has died'));
  const told = JSON.parse(text) as Told;
  if ('error' in told) throw new StrataError(told.error);
  return told;
}

function fieldsOf(cause: unknown): ErrorFields {
  const error = cause instanceof StrataError ? cause : internalError(cause);
  const { code, reason, pointer, document, stage, operation, syscall, errno, path, hint } = error;
  const fields = { pointer, document, stage, operation, syscall, errno, path, hint };
  return Object.assign({ code, reason }, ...Object.entries(fields).map(([key, value]) => (value === undefined ? {} : { [key]: value })));
}

/** What the container has, and what its keeper has of it; -1 for none. */
interface Streams {
  readonly theirs: readonly [Descriptor, Descriptor, Descriptor];
  /** The other ends, in the same order. */
  readonly ours: readonly [Descriptor, Descriptor, Descriptor];
}

async function keep(host: Host, options: KeptOptions, prepared: Prepared): Promise<{ readonly pid: number }> {
  const { root, id, directory, lock } = options;
  const around = countsAround(host, prepared.record);
  const opened: Descriptor[] = [];
  const own = (descriptor: Descriptor): Descriptor => {
    opened.push(descriptor);
    return descriptor;
  };
  try {
    const { terminal } = prepared.record;
    const [mine = -1, its = -1] = terminal ? host.socketPair().map(own) : [];
    const streams = terminal ? undefined : makeStreams(host, own, options.interactive);
    // The terminal stands in for all three, so what they are before it is there is of no account.
    const given = streams === undefined ? { console: its } : { stdio: streams.theirs };
    const up = await (options.bring?.(given, prepared) ?? bringUp(host, { ...options, ...given }, prepared, false));
    own(up.pidfd);
    try {
      recordStart(host, directory);
      const master = terminal ? own(await host.receiveDescriptor(mine)) : -1;
      const listener = own(host.listen(attachSocket(root, id)));
      const kept = [up.pidfd, lock, listener, master, ...(streams?.ours ?? [-1, -1, -1])];
      host.keep(ordersFor(host, options, up, kept, around), kept);
    } catch (error) {
      throw await withdrawn(host, options, up, error);
    }
    return { pid: up.pid };
  } finally {
    for (const descriptor of opened) host.close(descriptor);
  }
}

/** A pipe for each stream. Without someone to attach, standard input is at its end from the beginning. */
function makeStreams(host: Host, own: (descriptor: Descriptor) => Descriptor, interactive: boolean): Streams {
  const [stdin = -1, input = -1] = host.pipe().map(own);
  const [output = -1, stdout = -1] = host.pipe().map(own);
  const [errors = -1, stderr = -1] = host.pipe().map(own);
  return { theirs: [stdin, stdout, stderr], ours: [interactive ? input : -1, output, errors] };
}

/** What the keeper is told, word by word: see native/keeper/orders.hpp. */
function ordersFor(host: Host, options: KeptOptions, up: Up, descriptors: readonly Descriptor[], around: ReturnType<typeof countsAround>): string[] {
  const { id, log, root, store } = options;
  const remove = options.remove ? [host.ownCommand(), '--root', root, '--store', store, 'delete', '--force', id] : [];
  const numbers = [up.pid, ...descriptors].map(String);
  const memory = [memoryEvents(host, up.record), around.file, String(around.before)];
  return [id, ...numbers, ...memory, log.driver, String(log.maxSize), String(log.maxFile), ...remove];
}

/** Takes back a container that runs, for nobody keeps it. */
async function withdrawn(host: Host, options: KeptOptions, up: Up, cause: unknown): Promise<unknown> {
  const { root, id } = options;
  try {
    await withLock(host, root, id, () => destroy(host, root, load(host, root, id, up.record), options));
  } catch (fault) {
    return withCleanupFault(cause, fault);
  }
  return cause instanceof StrataError ? withFields(cause, { stage: 'process' }) : cause;
}
