/** `start`: the created container runs its program. */
import { StrataError, withFields } from '../base/error.ts';
import type { Descriptor, Host } from '../host/host.ts';
import { LaunchError } from '../host/host.ts';
import { agentFor } from './agent.ts';
import { destroy } from './destroy.ts';
import { launchError } from './failure.ts';
import { messageOf } from './fault.ts';
import { runHooks } from './hooks.ts';
import { checkId } from './id.ts';
import { withLock } from './lock.ts';
import { bindNotify, untilReady } from './notify.ts';
import { isAlive, observe } from './observe.ts';
import type { ContainerName, Report } from './report.ts';
import { hookState } from './state.ts';
import { permit } from './status.ts';
import type { ContainerRecord } from './store.ts';
import { checkRoot, load, notFound, notifyDirectory, save, startSocket } from './store.ts';

export interface StartOptions extends ContainerName {
  /** Where the caller listens for sd_notify(3), as when the container was created. */
  readonly notifySocket?: string;
}

/**
 * Runs the program of a created container; returns when execve(2) has succeeded and the poststart hooks have run, and if the container was created
 * with a socket of sd_notify(3), and the caller listens, when the program is ready or has ended.
 *
 * @throws StrataError `status` if it is not created; `hook` or `exec` if the program could not be run or a hook failed: the container is then
 * stopped and destroyed (runtime.md#lifecycle, steps 7 to 9).
 */
export async function start(host: Host, options: StartOptions): Promise<void> {
  const { root, id, notifySocket } = options;
  checkId(id);
  if (!checkRoot(host, root)) throw notFound(id);
  if (notifySocket === undefined || host.stat(notifyDirectory(root, id)) === undefined) await startLocked(host, options, -1);
  else
    await untilReady(
      host,
      options,
      (notify) => startLocked(host, options, notify),
      (process) => process,
    );
}

/** `notify`: the container's socket of sd_notify(3), or -1. Gives back the process that runs. */
function startLocked(host: Host, options: StartOptions, notify: Descriptor): Promise<ContainerRecord['process']> {
  const { root, id } = options;
  return withLock(host, root, id, async () => {
    const record = load(host, root, id);
    permit('start', observe(host, root, record, true).status, id);
    checkProgram(record);
    if (notify !== -1) bindNotify(host, root, record, notify);
    options.debug?.('run the program');
    try {
      await letStart(host, root, record);
    } catch (error) {
      if (!(error instanceof LaunchError)) throw error;
      const { failure } = error;
      const step = record.startSteps.find(({ index }) => index === failure.operation);
      // The process took our word and failed; with any other failure it has not heard us, and nothing has changed.
      if (step !== undefined || failure.syscall === 'init') throw await destroyed(host, root, record, launchError(failure, step), options);
      if (!isAlive(host, record)) permit('start', 'stopped', id);
      throw launchError(failure, undefined);
    }
    try {
      await recordRunning(host, root, record, options);
    } catch (error) {
      throw await destroyed(host, root, record, error, options);
    }
    return record.process;
  });
}

async function letStart(host: Host, root: string, record: ContainerRecord): Promise<void> {
  const socket = startSocket(root, record.id);
  const agent = record.process && agentFor(record, record.process.pid, 'created');
  if (record.process === undefined || agent === undefined) return host.start(socket);
  const pidfd = host.openProcess(record.process.pid, record.process.startTime);
  if (pidfd === undefined) return permit('start', 'stopped', record.id);
  try {
    await host.start(socket, agent, pidfd);
  } finally {
    host.close(pidfd);
  }
}

/** A container can be created without `process`, but not started (runtime.md#start). @throws StrataError `config-invalid`. */
export function checkProgram(record: ContainerRecord): void {
  if (record.startSteps.some(({ op }) => op === 'exec')) return;
  throw new StrataError({ code: 'config-invalid', stage: 'start', pointer: '/process', reason: 'is not set, so there is no program to run' });
}

/** Records that the program runs, then runs the poststart hooks. The caller holds the lock, and destroys the container if this fails. */
async function recordRunning(host: Host, root: string, record: ContainerRecord, report: Report): Promise<void> {
  const running: ContainerRecord = { ...record, status: 'running' };
  save(host, root, running);
  host.removeFile(startSocket(root, record.id));
  await runPoststartHooks(host, running, report);
}

/** The hooks that follow the program's start. @throws StrataError `hook`; then the container is to be destroyed. */
export async function runPoststartHooks(host: Host, record: ContainerRecord, report: Report): Promise<void> {
  if (record.poststart.length > 0) await runHooks(host, 'poststart', record.poststart, hookState(record, 'running'), report);
}

/** Destroys the container and gives back the error that made it necessary; what goes wrong meanwhile is added to its hint. */
async function destroyed(host: Host, root: string, record: ContainerRecord, cause: unknown, report: Report): Promise<unknown> {
  try {
    await destroy(host, root, record, report);
  } catch (error) {
    return withCleanupFault(cause, error);
  }
  return cause;
}

/** `cause`, with the failure of clearing up behind it as a second matter. */
export function withCleanupFault(cause: unknown, fault: unknown): unknown {
  if (!(cause instanceof StrataError)) return cause;
  return withFields(cause, { hint: `${cause.hint === undefined ? '' : `${cause.hint}; `}clearing up failed too: ${messageOf(fault)}` });
}
