/**
 * sd_notify(3): the container's program says READY=1 to a socket in the container, and strata says it to the one at which its own caller listens
 * ($NOTIFY_SOCKET). It says nothing else for the container: a service of the host is not to be steered by what is in one.
 */
import type { Descriptor, Host, Notify } from '../host/host.ts';
import { NOTIFY_NAME } from '../plan/notify.ts';
import { messageOf } from './fault.ts';
import type { Report } from './report.ts';
import type { ContainerRecord } from './store.ts';
import { notifyDirectory } from './store.ts';

/** Milliseconds that the caller has to read what it was told, as with systemd-notify(1). */
const PATIENCE = 5000;

export interface ReadyOptions extends Report {
  /** The caller's socket: a path, or `@` and a name in the abstract namespace. */
  readonly notifySocket?: string;
  /** Called when a signal has come; what it throws ends the waiting. */
  readonly checkpoint?: () => void;
}

/** Makes the directory of the container's socket, and gives `socket` its name in it unless that is -1. */
export function prepareNotify(host: Host, root: string, { id, notify }: ContainerRecord, socket: Descriptor): void {
  if (notify === undefined) return;
  const directory = notifyDirectory(root, id);
  host.makeDirectory(directory, 0o755);
  if (socket !== -1) bindNotify(host, root, { id, notify }, socket);
}

export function bindNotify(host: Host, root: string, { id, notify }: Pick<ContainerRecord, 'id' | 'notify'>, socket: Descriptor): void {
  if (notify === undefined) return;
  const directory = notifyDirectory(root, id);
  const path = `${directory}/${NOTIFY_NAME}`;
  host.bindNotify(socket, path);
  if (notify.label !== undefined) for (const labelled of [directory, path]) host.setLabel(labelled, notify.label);
}

/**
 * Brings a container up with a socket, which is `bring`'s to name, and returns when the program has said that it is ready, or has ended. Where nobody
 * listens any more there is nothing to wait for.
 *
 * @throws what `bring` and `checkpoint` throw; in the latter case the container runs on.
 */
export function untilReady<Brought>(
  host: Host,
  options: ReadyOptions,
  bring: (notify: Descriptor) => Promise<Brought>,
  processOf: (brought: Brought) => ContainerRecord['process'],
): Promise<Brought> {
  // Most of the time: it is to cost nothing then.
  return options.notifySocket === undefined ? bring(-1) : bringAndWait(host, options, bring, processOf);
}

async function bringAndWait<Brought>(
  host: Host,
  options: ReadyOptions,
  bring: (notify: Descriptor) => Promise<Brought>,
  processOf: (brought: Brought) => ContainerRecord['process'],
): Promise<Brought> {
  const caller = connectCaller(host, options);
  if (caller === -1) return bring(-1);
  let socket: Descriptor = -1;
  try {
    socket = host.notifySocket();
    const brought = await bring(socket);
    const process = processOf(brought);
    if (process !== undefined) await handOn(host, options, { socket, caller }, process);
    return brought;
  } finally {
    if (socket !== -1) host.close(socket);
    host.close(caller);
  }
}

/** For as long as `work` stands in front of a container: its socket, and who is told. Undefined if the container has none, or nobody is to be told. */
export function whileHeard<T>(
  host: Host,
  { notify }: ContainerRecord,
  options: ReadyOptions,
  work: (notify: Notify | undefined) => Promise<T>,
): Promise<T> {
  return notify === undefined || options.notifySocket === undefined ? work(undefined) : workHeard(host, options, work);
}

async function workHeard<T>(host: Host, options: ReadyOptions, work: (notify: Notify) => Promise<T>): Promise<T> {
  const caller = connectCaller(host, options);
  let socket: Descriptor = -1;
  try {
    socket = host.notifySocket();
    return await work({ socket, caller });
  } finally {
    for (const descriptor of [socket, caller]) if (descriptor !== -1) host.close(descriptor);
  }
}

/** -1 if there is none, which is told: that nobody hears of it is no reason not to run a container. */
function connectCaller(host: Host, { notifySocket, warn }: ReadyOptions): Descriptor {
  if (notifySocket === undefined) return -1;
  try {
    return host.connectNotify(notifySocket);
  } catch (error) {
    warn?.(`nobody will be told that the container is ready: NOTIFY_SOCKET is ${notifySocket}: ${messageOf(error)}`);
    return -1;
  }
}

async function handOn(
  host: Host,
  { warn, debug, checkpoint }: ReadyOptions,
  { socket, caller }: Notify,
  { pid, startTime }: NonNullable<ContainerRecord['process']>,
): Promise<void> {
  debug?.('wait until the program is ready');
  const pidfd = host.openProcess(pid, startTime) ?? -1;
  try {
    let heard = await host.awaitReady(socket, pidfd);
    for (; heard === 'signal'; heard = await host.awaitReady(socket, pidfd)) checkpoint?.();
    if (heard === 'exit') return;
  } finally {
    if (pidfd !== -1) host.close(pidfd);
  }
  try {
    // strata itself, which the caller takes for the main process so far, is about to end.
    await host.tellReady(caller, isAlive(host, { pid, startTime }) ? `READY=1\nMAINPID=${pid}` : 'READY=1', PATIENCE);
  } catch (error) {
    warn?.(`nobody could be told that the container is ready: ${messageOf(error)}`);
  }
}

function isAlive(host: Host, { pid, startTime }: NonNullable<ContainerRecord['process']>): boolean {
  const pidfd = host.openProcess(pid, startTime);
  if (pidfd === undefined) return false;
  host.close(pidfd);
  return true;
}
