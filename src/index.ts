/**
 * The library: strata's verbs as typed functions. Native work runs on threads of its own and waiting in the event loop, so nothing blocks it.
 * Errors are {@link StrataError}s, whose `code` and other fields are stable where messages are not. Creating containers needs root, or a user namespace.
 *
 * @example
 * import * as strata from 'strata-oci';
 *
 * const container = await strata.run({ id: 'hello', bundle: '/srv/bundle', stdio: ['ignore', 'pipe', 'inherit'] });
 * for await (const chunk of container.stdout) process.stdout.write(chunk);
 * const { code } = await container.wait();
 * await container.delete();
 *
 * await strata.images.import({ source: 'debian.tar' });
 * const shell = await strata.run({ id: 'shell', image: 'debian:12', args: ['cat', '/etc/os-release'] });
 */
import { resolve } from 'node:path';
import type { Duplex, Readable, Writable } from 'node:stream';
import { StrataError } from './base/error.ts';
import type { Descriptor, ExitStatus } from './host/host.ts';
import { createInstance } from './instance/create.ts';
import { isInstance, stateOf } from './instance/instances.ts';
import { removeContainer, startInstance, waitForExit } from './instance/life.ts';
import type { HeldInstance } from './instance/run.ts';
import { runInstanceHeld, runInstanceKept } from './instance/run.ts';
import type { ImageContainerOptions, InstanceOptions } from './library/instances.ts';
import { instance, making } from './library/instances.ts';
import type { ContainerOptions } from './library/machine.ts';
import { abortable, checkSignal, host, inside } from './library/machine.ts';
import type { Up } from './lifecycle/bring-up.ts';
import { checkpoint as checkpointContainer } from './lifecycle/checkpoint.ts';
import { create as createContainer } from './lifecycle/create.ts';
import { type ContainerEvent, events as eventsOf, stats as statsOf } from './lifecycle/events.ts';
import type { ProcessChanges } from './lifecycle/exec.ts';
import { checkChanges, execDetached } from './lifecycle/exec.ts';
import { kill as killContainer } from './lifecycle/kill.ts';
import { list as listContainers } from './lifecycle/list.ts';
import { pause as pauseContainer, resume as resumeContainer } from './lifecycle/pause.ts';
import { planContainer } from './lifecycle/plan.ts';
import type { CreateOptions as LifecycleOptions } from './lifecycle/prepare.ts';
import { restoreDetached } from './lifecycle/restore.ts';
import { runDetached } from './lifecycle/run.ts';
import { SIGKILL, signalNumber } from './lifecycle/signals.ts';
import { start as startContainer } from './lifecycle/start.ts';
import type { ContainerState } from './lifecycle/state.ts';
import type { Stats } from './lifecycle/stats.ts';
import { update as updateContainer } from './lifecycle/update.ts';
import type { Plan } from './plan/op.ts';
import type { Stdio } from './streams.ts';
import { consoleStream, openStdio } from './streams.ts';

export type { ErrorCode, Stage } from './base/error.ts';
export { StrataError } from './base/error.ts';
export type { ExitStatus } from './host/host.ts';
export * as images from './library/images.ts';
export type {
  AttachOptions,
  BundleOptions,
  CommitOptions,
  ContainersOptions,
  FsckOptions,
  ImageContainerOptions,
  ImageSettings,
  InstanceOptions,
  LogsOptions,
  PruneOptions,
  RenameOptions,
  StopOptions,
} from './library/instances.ts';
export { attach, bundle, commit, containers, diff, fsck, logs, prune, rename, restart, stop } from './library/instances.ts';
export type { ContainerOptions } from './library/machine.ts';
export * as volumes from './library/volumes.ts';
export type { ContainerEvent } from './lifecycle/events.ts';
export type { ContainerState } from './lifecycle/state.ts';
export type { Stats } from './lifecycle/stats.ts';
export type { Status } from './lifecycle/status.ts';
export type { Operation, Plan } from './plan/op.ts';
export type { Stdio } from './streams.ts';

export interface PlanOptions extends ContainerOptions {
  /** Directory of the bundle. */
  readonly bundle: string;
  /**
   * The configuration, in place of the bundle's config.json: an object of the form of the OCI specification. Integers beyond 2^53 are exact
   * as bigint. Relative paths in it still start at `bundle`.
   */
  readonly spec?: object;
  /**
   * Who makes the container's cgroup. With `'systemd'`, which needs cgroup v2, it is in a scope, and `linux.cgroupsPath` is `slice:prefix:name`.
   *
   * @default 'cgroupfs'
   */
  readonly cgroupManager?: 'cgroupfs' | 'systemd';
  /** Enter the root with MS_MOVE and chroot(2) instead of pivot_root(2), for a host whose root is a ramdisk. */
  readonly noPivot?: boolean;
  /** Let the container keep the caller's session keyring. */
  readonly noNewKeyring?: boolean;
}

export interface CreateOptions extends PlanOptions {
  /**
   * What the container gets as descriptors 0, 1 and 2: `'inherit'` this process's own, `'ignore'` /dev/null, `'pipe'` a pipe whose other end is
   * a stream of the {@link Container}, a number or a stream with an `fd` that descriptor. One value stands for all three. With
   * `process.terminal` the container's terminal takes their place; see {@link Container.console}.
   *
   * @default 'inherit'
   */
  readonly stdio?: Stdio | readonly [Stdio, Stdio, Stdio];
  /** File to write the pid to. */
  readonly pidFile?: string;
  /** Path of a unix socket to which a pidfd of the container's process is sent, with the text `standard`. */
  readonly pidfdSocket?: string;
  /** Gives up: the container is undone and the promise rejects with the code `aborted`. With {@link run}, later on it kills the container. */
  readonly signal?: AbortSignal;
}

/** A container of an image that lives no longer than this process. */
export interface HeldOptions extends ImageContainerOptions, Pick<CreateOptions, 'stdio' | 'pidFile' | 'pidfdSocket'> {
  readonly detach?: false;
  /** As in {@link CreateOptions}: gives up, and later on kills the container. */
  readonly signal?: AbortSignal;
}

/** A container of an image in the background. */
export interface DetachedOptions extends ImageContainerOptions {
  readonly detach: true;
}

export interface ExecOptions extends ContainerOptions {
  /** The program and its arguments; needed unless `process` has them. */
  readonly args?: readonly string[];
  /** A process section in the form of the OCI specification, to start from in place of the one with which the container was created. */
  readonly process?: object;
  readonly cwd?: string;
  /** Added to the variables of the section, each `NAME=value`. */
  readonly env?: readonly string[];
  /** In numbers. `additionalGids` are added to those of the section. */
  readonly user?: { readonly uid: number; readonly gid?: number; readonly additionalGids?: readonly number[] };
  /**
   * Give it a terminal, see {@link Execution.console}.
   *
   * @default false, or what `process` says
   */
  readonly terminal?: boolean;
  /** Of the terminal, in characters. */
  readonly consoleSize?: { readonly height: number; readonly width: number };
  /** Names such as `CAP_CHOWN`, added to the bounding, effective and permitted sets. */
  readonly capabilities?: readonly string[];
  readonly noNewPrivileges?: boolean;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
  /** Cgroups below the container's, as `PATH` or `CONTROLLER[,CONTROLLER]:PATH`. */
  readonly cgroups?: readonly string[];
  /** In a paused container, wait until it is resumed; otherwise that is an error. */
  readonly ignorePaused?: boolean;
  /** As in {@link CreateOptions}. */
  readonly stdio?: Stdio | readonly [Stdio, Stdio, Stdio];
  /** File to write the pid to. */
  readonly pidFile?: string;
  /** Path of a unix socket to which a pidfd of the process is sent, with the text `setns`. */
  readonly pidfdSocket?: string;
  /** Gives up, and later on kills the process. */
  readonly signal?: AbortSignal;
}

export interface WaitOptions extends InstanceOptions {
  /** Stops waiting: the promise rejects with the code `aborted`; the container is not touched. */
  readonly signal?: AbortSignal;
}

export interface KillOptions extends ContainerOptions {
  /**
   * `'TERM'`, `'SIGTERM'`, `15`, `'RTMIN+1'`.
   *
   * @default 'TERM'
   */
  readonly signal?: string | number;
  /** Every process in the container's cgroup; then a container that has stopped is no error. */
  readonly all?: boolean;
}

export interface EventsOptions extends ContainerOptions {
  /**
   * Milliseconds between statistics.
   *
   * @default 5000
   */
  readonly interval?: number;
  /** Ends the events, as the end of the container does. */
  readonly signal?: AbortSignal;
}

export interface UpdateOptions extends ContainerOptions {
  /** Limits of the form of `linux.resources` in the OCI specification; what is absent stays. Integers beyond 2^53 are exact as bigint. */
  readonly resources: object;
  /** Lines for the `schemata` of the container's class of service, if its configuration has `linux.intelRdt`. */
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
}

/** What CRIU is told at a checkpoint and at a restore alike. */
export interface CheckpointImage {
  /** Directory of the images. */
  readonly imagePath: string;
  /**
   * Directory of CRIU's log and other files.
   *
   * @default that of the images
   */
  readonly workPath?: string;
  /** Connections that are established are saved, or taken up. */
  readonly tcpEstablished?: boolean;
  /** So are unix sockets whose other end is outside. */
  readonly extUnixSk?: boolean;
  /** Allows a terminal and a session that are outside. */
  readonly shellJob?: boolean;
  /** Locks of files are saved, or taken again. */
  readonly fileLocks?: boolean;
  /** Memory is brought when it is needed. */
  readonly lazyPages?: boolean;
  /** Parent images lose what newer ones have. */
  readonly autoDedup?: boolean;
  /** What becomes of the settings of cgroups. */
  readonly manageCgroupsMode?: 'soft' | 'full' | 'strict' | 'ignore';
  /** How packets are held up meanwhile. */
  readonly networkLock?: 'iptables' | 'nftables' | 'skip';
}

export interface CheckpointOptions extends ContainerOptions, CheckpointImage {
  /** Images that these are the difference to, relative to `imagePath`. */
  readonly parentPath?: string;
  /** The container runs on; otherwise it is deleted. */
  readonly leaveRunning?: boolean;
  /** Memory only, in preparation; the container runs on. */
  readonly preDump?: boolean;
  /** Connections that are being made are left out. */
  readonly tcpSkipInFlight?: boolean;
  /** Open files that were unlinked get a name again. */
  readonly linkRemap?: boolean;
  /** To which memory is sent. */
  readonly pageServer?: { readonly address: string; readonly port: number };
}

export interface RestoreOptions extends Omit<CreateOptions, 'noPivot' | 'noNewKeyring'>, CheckpointImage {
  /** Connections of the images are closed. */
  readonly tcpClose?: boolean;
  /** `apparmor:NAME` or `selinux:LABEL`, in place of that of the images. */
  readonly lsmProfile?: string;
  /** Another SELinux label for the mounts. */
  readonly lsmMountContext?: string;
}

export interface DeleteOptions extends InstanceOptions {
  /** Kill the container if it is not stopped; then one that does not exist is no error. */
  readonly force?: boolean;
}

/**
 * A container that this process has created. Its exit is watched, which keeps the event loop alive until then, as a child process does.
 * With `await using` it is deleted by force at the end of the block.
 */
export class Container {
  readonly id: string;
  /** Of its first process, as this process sees it. */
  readonly pid: number;
  /**
   * The other ends of the pipes that were asked for; null for the others. Input is closed when the container exits, output when it has been read to
   * its end: read what you ask for, or `resume()` it.
   */
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  /** The master of the container's terminal if `process.terminal` is set; it ends when nobody has the terminal open any more. */
  readonly console: Duplex | null;
  readonly #name: InstanceOptions;
  readonly #exit: Promise<ExitStatus>;

  /** Containers come from {@link create} and {@link run}. */
  constructor(name: InstanceOptions, up: Up & Partial<HeldInstance>, streams: ContainerStreams) {
    this.id = name.id;
    this.pid = up.pid;
    this.stdin = streams.stdin;
    this.stdout = streams.stdout;
    this.stderr = streams.stderr;
    this.console = streams.console;
    this.#name = name;
    this.#exit = endOf(up);
    // Nobody reads this any more, while what the container has written still can be read. A failure to watch belongs to whoever waits.
    const closeInput = () => void this.stdin?.destroy();
    this.#exit.then(closeInput, closeInput);
  }

  /** Runs its program, if it was only created. */
  async start(): Promise<void> {
    await start(this.#name);
  }

  /** How its first process exited, as soon as it has. */
  async wait(options: { readonly signal?: AbortSignal } = {}): Promise<ExitStatus> {
    return abortable(this.#exit, options.signal);
  }

  /** Runs one more program in it. */
  async exec(options: Omit<ExecOptions, keyof ContainerOptions>): Promise<Execution> {
    return exec({ ...options, ...this.#name });
  }

  async state(): Promise<ContainerState> {
    return state(this.#name);
  }

  async kill(signal: string | number = 'TERM', options: { readonly all?: boolean } = {}): Promise<void> {
    await kill({ ...this.#name, ...options, signal });
  }

  async pause(): Promise<void> {
    await pause(this.#name);
  }

  async resume(): Promise<void> {
    await resume(this.#name);
  }

  /** Changes its limits: all of them, or none. */
  async update(resources: object): Promise<void> {
    await update({ ...this.#name, resources });
  }

  /** Deletes it; one that has not exited only by force. */
  async delete(options: { readonly force?: boolean } = {}): Promise<void> {
    await deleteContainer({ ...this.#name, ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.delete({ force: true });
    for (const stream of [this.stdin, this.stdout, this.stderr, this.console]) stream?.destroy();
  }
}

/**
 * A process that {@link exec} has begun. Its exit is watched, which keeps the event loop alive until then. With `await using` it is killed at the end
 * of the block.
 */
export class Execution {
  /** As this process sees it. */
  readonly pid: number;
  /** As in {@link Container}. */
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  readonly console: Duplex | null;
  readonly #exit: Promise<ExitStatus>;
  /** Until it has exited. */
  #pidfd: Descriptor | undefined;

  /** They come from {@link exec}. */
  constructor(executed: { readonly pid: number; readonly pidfd: Descriptor }, streams: ContainerStreams) {
    this.pid = executed.pid;
    this.stdin = streams.stdin;
    this.stdout = streams.stdout;
    this.stderr = streams.stderr;
    this.console = streams.console;
    this.#pidfd = executed.pidfd;
    this.#exit = exitOf(executed, () => {
      this.#pidfd = undefined;
    });
    const closeInput = () => void this.stdin?.destroy();
    this.#exit.then(closeInput, closeInput);
  }

  /** How it exited, as soon as it has. */
  async wait(options: { readonly signal?: AbortSignal } = {}): Promise<ExitStatus> {
    return abortable(this.#exit, options.signal);
  }

  /** Sends it a signal; false if it has exited. */
  kill(signal: string | number = 'TERM'): boolean {
    const number = signalNumber(String(signal));
    return this.#pidfd !== undefined && host().signal(this.#pidfd, number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill(SIGKILL);
    await this.#exit;
    for (const stream of [this.stdin, this.stdout, this.stderr, this.console]) stream?.destroy();
  }
}

interface ContainerStreams {
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  readonly console: Duplex | null;
}

/**
 * Creates a container, which then waits for {@link Container.start}. One of an image is only recorded in the store, and {@link start} runs it in the
 * background. If it fails, nothing of the container is left.
 */
export function create(options: CreateOptions): Promise<Container>;
export function create(options: ImageContainerOptions): Promise<undefined>;
export async function create(options: CreateOptions | ImageContainerOptions): Promise<Container | undefined> {
  if (!('image' in options)) return bring(options, (inner) => createContainer(host(), inner));
  const { lock } = await createInstance(host(), making(options));
  host().close(lock);
  return undefined;
}

/**
 * Creates a container and runs its program; resolves when it runs. One of an image keeps what it has written until it is deleted; with `detach` it has a
 * keeper, which writes its log, and does not end with this process. If it fails, nothing of the container is left.
 */
export function run(options: CreateOptions | HeldOptions): Promise<Container>;
export function run(options: DetachedOptions): Promise<{ readonly pid: number }>;
export async function run(options: CreateOptions | HeldOptions | DetachedOptions): Promise<Container | { readonly pid: number }> {
  if ('detach' in options && options.detach === true) return runInstanceKept(host(), making(options));
  const container = await ('image' in options ? hold(options) : bring(options, (inner) => runDetached(host(), inner)));
  const { signal } = options;
  // One that has exited, or has been deleted, is what was wanted.
  if (signal !== undefined) killOnAbort(signal, container.wait(), () => container.kill(SIGKILL).catch(() => undefined));
  return container;
}

/** Runs one more program in a container; resolves when it runs. If it fails, nothing of it is left. */
export async function exec(options: ExecOptions): Promise<Execution> {
  const { process, consoleSize, cgroups, ignorePaused, pidFile, pidfdSocket, signal } = options;
  const changes = changesOf(options);
  checkChanges(changes);
  const given = Object.fromEntries(
    Object.entries({ process, consoleSize, cgroups, ignorePaused, pidFile, pidfdSocket }).filter(([, value]) => value !== undefined),
  );
  const { result, streams } = await attached(options, async (base) => {
    const executed = await execDetached(host(), { ...inside(options), ...given, ...base, changes });
    return { result: executed, terminal: executed.terminal };
  });
  const execution = new Execution(result, streams);
  if (signal !== undefined) killOnAbort(signal, execution.wait(), () => execution.kill(SIGKILL));
  return execution;
}

/** Ends what lives until `exit` when the signal comes. */
function killOnAbort(signal: AbortSignal, exit: Promise<unknown>, stop: () => unknown): void {
  const kill = () => void stop();
  const forget = () => signal.removeEventListener('abort', kill);
  signal.addEventListener('abort', kill, { once: true });
  if (signal.aborted) kill();
  exit.then(forget, forget);
}

function changesOf(options: ExecOptions): ProcessChanges {
  const { args, process, cwd, env, user, terminal = process === undefined ? false : undefined } = options;
  const { capabilities, noNewPrivileges, apparmorProfile, selinuxLabel } = options;
  const all = { args, cwd, env, ...user, terminal, capabilities, noNewPrivileges, apparmorProfile, selinuxLabel };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Runs the program of a created container; of one made of an image in the background, for the first time or again. */
export async function start(options: InstanceOptions): Promise<void> {
  const name = instance(options);
  if (isInstance(host(), name)) await startInstance(host(), name);
  else await startContainer(host(), name);
}

/** Freezes all processes of a container. */
export async function pause(options: ContainerOptions): Promise<void> {
  await pauseContainer(host(), inside(options));
}

/** Lets the processes of a paused container run on. */
export async function resume(options: ContainerOptions): Promise<void> {
  await resumeContainer(host(), inside(options));
}

/** Has CRIU write a running container into a directory; afterwards it is deleted, unless it is to run on. If that fails it runs on. */
export async function checkpoint(options: CheckpointOptions): Promise<void> {
  await checkpointContainer(host(), { ...options, ...inside(options), ...absolutePaths(options) });
}

/** Makes a container of what {@link checkpoint} has written; resolves when it runs. If it fails, nothing of the container is left. */
export async function restore(options: RestoreOptions): Promise<Container> {
  const { stdio: _, onWarning: __, ...wishes } = options;
  const container = await bring(options, (inner) => restoreDetached(host(), { ...wishes, ...inner, ...absolutePaths(options) }));
  const { signal } = options;
  if (signal !== undefined) killOnAbort(signal, container.wait(), () => container.kill(SIGKILL).catch(() => undefined));
  return container;
}

function absolutePaths({ imagePath, workPath }: CheckpointImage): Pick<CheckpointImage, 'imagePath' | 'workPath'> {
  return { imagePath: resolve(imagePath), ...(workPath !== undefined && { workPath: resolve(workPath) }) };
}

/** Changes the limits of a container that has not stopped. If one of them is refused, none is changed. */
export async function update(options: UpdateOptions): Promise<void> {
  const { resources, l3CacheSchema, memBwSchema } = options;
  await updateContainer(host(), {
    ...inside(options),
    resources,
    ...(l3CacheSchema !== undefined && { l3CacheSchema }),
    ...(memBwSchema !== undefined && { memBwSchema }),
  });
}

/** What a container that has not stopped uses at this moment: the names are those of runc. */
export async function stats(options: ContainerOptions): Promise<Stats> {
  const event = await statsOf(host(), inside(options));
  return event.data;
}

/**
 * What a container uses, after each interval, and when it runs out of memory; ends when it has stopped.
 *
 * @example
 * for await (const event of strata.events({ id: 'web1', interval: 1000 })) if (event.type === 'oom') console.log('no memory left');
 */
export async function* events(options: EventsOptions): AsyncGenerator<ContainerEvent, void> {
  const { interval = 5000, signal } = options;
  if (signal?.aborted === true) return;
  const machine = host();
  const [cancel, end] = machine.pipe();
  let open = true;
  const stop = () => {
    if (open) machine.close(end);
    open = false;
  };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    yield* eventsOf(machine, { ...inside(options), interval, cancel });
  } finally {
    signal?.removeEventListener('abort', stop);
    stop();
    machine.close(cancel);
  }
}

/**
 * Waits until the process of any container has exited. `'unknown'`: it has, but nobody can tell how; it was gone before, or another process's
 * child on a kernel before 6.15.
 */
export async function wait(options: WaitOptions): Promise<ExitStatus | 'unknown'> {
  const { code, signal } = await abortable(waitForExit(host(), instance(options)), options.signal);
  return code === undefined ? 'unknown' : { code, ...(signal !== undefined && { signal }) };
}

/** The state of a container as the OCI specification has it. */
export async function state(options: InstanceOptions): Promise<ContainerState> {
  return stateOf(host(), instance(options));
}

/** Sends a signal to a container. */
export async function kill(options: KillOptions): Promise<void> {
  const signal = signalNumber(String(options.signal ?? 'TERM'));
  await killContainer(host(), { ...inside(options), signal, all: options.all ?? false });
}

/** Deletes a stopped container with all that was made for it, and what one made of an image has written. Exported as `delete`. */
async function deleteContainer(options: DeleteOptions): Promise<void> {
  await removeContainer(host(), { ...instance(options), force: options.force ?? false });
}

export { deleteContainer as delete };

/** The states of all containers, by id. */
export async function list(options: Omit<ContainerOptions, 'id'> = {}): Promise<ContainerState[]> {
  return listContainers(host(), inside({ ...options, id: '' }));
}

/** What {@link create} would do, as data. Touches nothing and needs no privilege. */
export async function plan(options: PlanOptions): Promise<Plan> {
  return planContainer(host(), creation(options));
}

function creation(options: PlanOptions): LifecycleOptions {
  const { bundle, spec, cgroupManager = 'cgroupfs', noPivot = false, noNewKeyring = false } = options;
  return { ...inside(options), bundle, cgroupManager, noPivot, noNewKeyring, ...(spec && { spec }) };
}

/** A container of an image with streams of its own. */
async function hold(options: HeldOptions): Promise<Container> {
  const { id, pidFile, pidfdSocket, onWarning } = options;
  const { result, streams } = await attached(options, async (base) => {
    const handed = { ...(pidFile !== undefined && { pidFile }), ...(pidfdSocket !== undefined && { pidfdSocket }) };
    const up = await runInstanceHeld(host(), { ...making(options), ...base, ...handed });
    return { result: up, terminal: up.record.terminal };
  });
  const { root, store } = instance(options);
  return new Container({ id, root, store, ...(onWarning && { onWarning }) }, result, streams);
}

async function bring(options: CreateOptions, work: (inner: LifecycleOptions) => Promise<Up>): Promise<Container> {
  const { pidFile, pidfdSocket } = options;
  const name = { id: options.id, root: inside(options).root, ...(options.onWarning && { onWarning: options.onWarning }) };
  const { result, streams } = await attached(options, async (base) => {
    const handed = { ...(pidFile !== undefined && { pidFile }), ...(pidfdSocket !== undefined && { pidfdSocket }) };
    const up = await work({ ...creation(options), ...base, ...handed });
    return { result: up, terminal: up.record.terminal };
  });
  return new Container(name, result, streams);
}

type Attachment = Required<Pick<LifecycleOptions, 'stdio' | 'checkpoint' | 'console'>>;

/** Does `work` with the descriptors that the new process gets, and makes streams of their other ends. */
async function attached<Result>(
  options: Pick<CreateOptions, 'stdio' | 'signal'>,
  work: (base: Attachment) => Promise<{ readonly result: Result; readonly terminal: boolean }>,
): Promise<{ result: Result; streams: ContainerStreams }> {
  const machine = host();
  const { signal } = options;
  const checkpoint = () => checkSignal(signal);
  checkpoint();
  const stdio = openStdio(machine, options.stdio ?? 'inherit');
  const [mine, theirs] = machine.socketPair();
  let handedOver = false;
  try {
    const { result, terminal } = await work({ stdio: stdio.descriptors, checkpoint, console: theirs });
    const console = terminal ? consoleStream(await machine.receiveDescriptor(mine)) : null;
    handedOver = true;
    return { result, streams: { ...stdio.streams(), console } };
  } finally {
    machine.close(mine);
    machine.close(theirs);
    stdio.close(handedOver);
  }
}

/** The same, and it is recorded where the container is one of an image. */
async function endOf(up: Up & Partial<HeldInstance>): Promise<ExitStatus> {
  const status = await exitOf(up);
  await up.ended?.(status);
  return status;
}

/** Waits for the exit of a child of ours, and reaps it. */
async function exitOf(up: { readonly pid: number; readonly pidfd: Descriptor }, over = (): void => {}): Promise<ExitStatus> {
  try {
    const status = await host().waitExit(up.pidfd, -1);
    if (status === undefined || status === 'unknown')
      throw new StrataError({ code: 'internal', reason: `the exit status of process ${up.pid} is lost` });
    return status;
  } finally {
    over();
    host().close(up.pidfd);
  }
}
