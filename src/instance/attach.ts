/** Sitting down in front of a container that runs in the background. */
import { StrataError } from '../base/error.ts';
import { ERRNO, hasErrno } from '../base/fault.ts';
import type { ExitStatus, Host } from '../host/host.ts';
import { checkId } from '../lifecycle/id.ts';
import { observe } from '../lifecycle/observe.ts';
import { loadSettled } from '../lifecycle/state.ts';
import { attachSocket } from './directory.ts';
import type { InstanceName } from './instances.ts';

export interface AttachOptions extends InstanceName {
  /** Keys that leave the container to itself when they are typed one after the other, see {@link detachKeys}. */
  readonly keys: string;
  /** Pass standard input on. */
  readonly input: boolean;
  /** Pass signals on, if the container has no terminal. */
  readonly signals: boolean;
}

/**
 * How the container has ended; undefined if we left before that.
 *
 * @throws StrataError `not-found`; `status` if it does not run, or has no keeper, or one that takes nobody more.
 */
export async function attach(host: Host, options: AttachOptions): Promise<ExitStatus | 'unknown' | undefined> {
  const { root, id, keys, input, signals } = options;
  checkId(id);
  const record = await loadSettled(host, root, id);
  const { process } = record;
  if (process === undefined || observe(host, root, record, false).status === 'stopped') {
    throw new StrataError({ code: 'status', stage: 'state', reason: `container not running: ${id} has stopped` });
  }
  const pidfd = !record.terminal && signals ? (host.openProcess(process.pid, process.startTime) ?? -1) : -1;
  try {
    const status = await host.attach(attachSocket(root, id), pidfd, record.terminal, input, keys);
    if (status === 'unknown' && observe(host, root, record, false).status !== 'stopped') throw letGo(id);
    return status;
  } catch (error) {
    if (!hasErrno(error, ERRNO.ENOENT, ERRNO.ECONNREFUSED)) throw error;
    const reason = `container ${id} has no keeper to attach to`;
    throw new StrataError({ code: 'status', stage: 'state', reason, hint: 'it was not started with run --image --detach, or start' });
  } finally {
    if (pidfd !== -1) host.close(pidfd);
  }
}

function letGo(id: string): StrataError {
  const reason = `the keeper of container ${id} has let go, and the container runs on`;
  return new StrataError({ code: 'status', stage: 'state', reason, hint: `${MOST} others are attached already, or it was killed` });
}

/** Clients::most of native/keeper. */
const MOST = 8;

/**
 * The characters that keys such as `ctrl-p,ctrl-q` or `a,ctrl-\` make; '' for none.
 *
 * @throws StrataError `usage`.
 */
export function detachKeys(text: string): string {
  if (text === '') return '';
  const keys = text.split(',').map((key) => {
    if (/^[\x21-\x7e]$/.test(key)) return key;
    const control = /^ctrl-([a-z[\\\]^_])$/.exec(key)?.[1];
    if (control === undefined) {
      throw new StrataError({ code: 'usage', reason: `'${key}' is no key`, hint: 'a character, or ctrl- with a letter or one of [ \\ ] ^ _' });
    }
    return String.fromCharCode(control.toUpperCase().charCodeAt(0) & CONTROL);
  });
  return keys.join('');
}

const CONTROL = 0x1f;
