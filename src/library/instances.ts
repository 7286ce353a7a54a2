/** Containers made of images, and their life: what they have written stays until they are deleted. */
import type { Fault } from '../archive/archive.ts';
import { createArchive } from '../archive/index.ts';
import { StrataError } from '../base/error.ts';
import type { ExitStatus } from '../host/host.ts';
import { attach as attachTo, detachKeys } from '../instance/attach.ts';
import { writeBundle } from '../instance/bundle.ts';
import type { CommittedImage } from '../instance/commit.ts';
import { commit as makeImage } from '../instance/commit.ts';
import type { InstanceOptions as Making } from '../instance/create.ts';
import { renameInstance, restartInstance, stopContainer } from '../instance/life.ts';
import type { LogRecord } from '../instance/logs.ts';
import { readLogs } from '../instance/logs.ts';
import type { PrunedAll } from '../instance/prune.ts';
import { pruneAll } from '../instance/prune.ts';
import type { PsEntry } from '../instance/ps.ts';
import { listContainers } from '../instance/ps.ts';
import type { LogSettings } from '../instance/record.ts';
import { newPrivileges, securityOptions } from '../instance/security.ts';
import { cpusWish, DEFAULT_LOG, deviceWish, limitWish, networkWish, sizeWish, tmpfsMount, volumeWish } from '../instance/wishes.ts';
import type { Change } from '../instance/writable.ts';
import { diff as changesOf } from '../instance/writable.ts';
import { signalNumber } from '../lifecycle/signals.ts';
import type { ContainerOptions } from './machine.ts';
import { checkSignal, host, inside } from './machine.ts';
import type { StoreOptions, WorkOptions } from './store.ts';
import { opened, storeRoot, working } from './store.ts';

/** Which container, and the store in which it is if it was made of an image. */
export interface InstanceOptions extends ContainerOptions, StoreOptions {}

/** What a container of an image is to be; what is absent is as the image says. Texts are as in the flags of `strata run --image`. */
export interface ImageSettings {
  /** The program's arguments, in place of the image's `Cmd`. */
  readonly args?: readonly string[];
  /** In place of the image's `Entrypoint`, and then its `Cmd` does not count either; empty for none. */
  readonly entrypoint?: readonly string[];
  /** Each `NAME=value`, or a `NAME` that is to be unset. */
  readonly env?: readonly string[];
  readonly cwd?: string;
  /** `USER[:GROUP]`, by name or number. */
  readonly user?: string;
  /** @default the container's id */
  readonly hostname?: string;
  readonly terminal?: boolean;
  /** Makes the root read-only. */
  readonly readonly?: boolean;
  /** Bytes at most. */
  readonly memory?: number;
  /** Processors at most, such as 1.5. */
  readonly cpus?: number;
  /** Processes and threads at most; -1 for no limit. */
  readonly pidsLimit?: number;
  /** `SOURCE:DESTINATION[:OPTIONS]`: a path of the host or the name of a volume. */
  readonly volumes?: readonly string[];
  /** `DESTINATION[:OPTIONS]` */
  readonly tmpfs?: readonly string[];
  /** `DEVICE[:PATH][:rwm]` */
  readonly devices?: readonly string[];
  /** `NAME=SOFT[:HARD]` */
  readonly ulimits?: readonly string[];
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  /**
   * `none`, `host`, or `ns:PATH`.
   *
   * @default 'none'
   */
  readonly network?: string;
  /** Let set-uid programs and file capabilities give more rights. */
  readonly newPrivileges?: boolean;
  /**
   * Each `NAME[=VALUE]`: `no-new-privileges`, `apparmor=PROFILE`, `seccomp=FILE`, `label=type:TYPE`, `mask=PATH:PATH`, `unmask=ALL` and others, as docs/security.md
   * tells.
   */
  readonly securityOpts?: readonly string[];
  /** They become annotations. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface ImageContainerOptions extends InstanceOptions, ImageSettings {
  /** By name or id. */
  readonly image: string;
  /** By name or number, in place of the image's. */
  readonly stopSignal?: string;
  /** Delete it, with its writable layer, when its program has exited. */
  readonly remove?: boolean;
  /** In the background: keep its standard input open for those who attach. */
  readonly interactive?: boolean;
  /** In the background: where its output goes. */
  readonly log?: Partial<LogSettings>;
  /** Gives up: nothing of the container is left, and the promise rejects with the code `aborted`. */
  readonly signal?: AbortSignal;
}

export interface BundleOptions extends WorkOptions, ImageSettings {
  readonly image: string;
  /** Where the bundle goes: a new directory or an empty one. */
  readonly directory: string;
}

export interface ContainersOptions extends Omit<InstanceOptions, 'id'> {
  /** Also those that do not run. */
  readonly all?: boolean;
  /** Measure their writable layers, which takes time. */
  readonly size?: boolean;
}

export interface StopOptions extends InstanceOptions {
  /**
   * Milliseconds that the program has after the stop signal, before it is killed.
   *
   * @default 10000
   */
  readonly timeout?: number;
  /** In place of the container's own stop signal, as in {@link KillOptions}. */
  readonly signal?: string | number;
}

export interface RenameOptions extends InstanceOptions {
  /** The new id. */
  readonly to: string;
}

export interface LogsOptions extends InstanceOptions {
  /** Go on until the container has ended. */
  readonly follow?: boolean;
  /** So many of the last records. */
  readonly tail?: number;
  readonly since?: Date;
  readonly until?: Date;
  /** Ends the records. */
  readonly signal?: AbortSignal;
}

export interface AttachOptions extends InstanceOptions {
  /**
   * Keys that leave the container to itself when they are typed one after the other.
   *
   * @default 'ctrl-p,ctrl-q'
   */
  readonly detachKeys?: string;
  /**
   * Pass standard input on.
   *
   * @default true
   */
  readonly input?: boolean;
}

export interface CommitOptions extends InstanceOptions, WorkOptions {
  /** What the image is to be called. */
  readonly name: string;
  readonly author?: string;
  /** What has been done, for the history. */
  readonly message?: string;
  /** In the words of a Dockerfile, such as `CMD ["true"]`. */
  readonly changes?: readonly string[];
  /**
   * Freeze the container's processes while its files are read.
   *
   * @default true
   */
  readonly pause?: boolean;
}

/** A container's name with what the floors below want besides. */
export function instance(options: InstanceOptions): ReturnType<typeof inside> & { store: string } {
  return { ...inside(options), store: storeRoot(options) };
}

/** What the floors below want to make a container. */
export function making(options: ImageContainerOptions): Making {
  const { image, stopSignal, remove = false, interactive = false, log, signal } = options;
  return {
    ...instance(options),
    ...wishesOf(options),
    image,
    remove,
    interactive,
    log: { ...DEFAULT_LOG, ...log },
    ...(stopSignal !== undefined && { stopSignal }),
    checkpoint: () => checkSignal(signal),
  };
}

function wishesOf(settings: ImageSettings) {
  const { args, entrypoint, cwd, user, hostname, memory, cpus, pidsLimit } = settings;
  const security = securityOptions(settings.securityOpts ?? []);
  if (pidsLimit !== undefined && (!Number.isSafeInteger(pidsLimit) || pidsLimit < -1 || pidsLimit === 0)) {
    throw new StrataError({ code: 'usage', reason: `pidsLimit ${pidsLimit} is no number of processes, nor -1` });
  }
  return {
    env: settings.env ?? [],
    terminal: settings.terminal ?? false,
    readonly: settings.readonly ?? false,
    volumes: (settings.volumes ?? []).map(volumeWish),
    tmpfs: (settings.tmpfs ?? []).map(tmpfsMount),
    devices: (settings.devices ?? []).map(deviceWish),
    limits: (settings.ulimits ?? []).map(limitWish),
    addedCapabilities: settings.capAdd ?? [],
    droppedCapabilities: settings.capDrop ?? [],
    network: networkWish(settings.network ?? 'none'),
    newPrivileges: newPrivileges(security, settings.newPrivileges ?? false),
    security,
    labels: settings.labels ?? {},
    ...(args !== undefined && { command: args }),
    ...(entrypoint !== undefined && { entrypoint }),
    ...(cwd !== undefined && { workingDirectory: cwd }),
    ...(user !== undefined && { user }),
    ...(hostname !== undefined && { hostname }),
    ...(memory !== undefined && { memory: sizeWish(String(memory)) }),
    ...(cpus !== undefined && { cpuQuota: cpusWish(String(cpus)) }),
    ...(pidsLimit !== undefined && { pids: pidsLimit }),
  };
}

/** Every container, with or without an image, by id. */
export async function containers(options: ContainersOptions = {}): Promise<readonly PsEntry[]> {
  const { all = false, size = false } = options;
  return listContainers(host(), { ...instance({ ...options, id: '' }), all, size });
}

/** Has a container stop: by its stop signal, then by SIGKILL. One that does not run is no error. */
export async function stop(options: StopOptions): Promise<void> {
  await stopContainer(host(), stopping(options));
}

/** Stops a container made of an image, if it runs, and starts it again in the background, with what it has written. */
export async function restart(options: StopOptions): Promise<{ readonly pid: number }> {
  return restartInstance(host(), stopping(options));
}

function stopping(options: StopOptions) {
  const { timeout = 10_000, signal } = options;
  return { ...instance(options), timeout, ...(signal !== undefined && { signal: signalNumber(String(signal)) }) };
}

/** Gives a container that was made of an image and does not run another id. */
export async function rename(options: RenameOptions): Promise<void> {
  await renameInstance(host(), instance(options), options.to);
}

/**
 * What a container has said in the background, oldest first.
 *
 * @example
 * for await (const { stream, log } of strata.logs({ id: 'web', follow: true })) process[stream].write(log);
 */
export async function* logs(options: LogsOptions): AsyncGenerator<LogRecord, void> {
  const { follow = false, tail, since, until, signal } = options;
  const waiting: LogRecord[] = [];
  let wake = (): void => {};
  let over = false;
  const checkpoint = (): void => {
    if (over) throw LEFT;
  };
  const reading = readLogs(
    host(),
    {
      ...instance(options),
      follow,
      checkpoint,
      ...(tail !== undefined && { tail }),
      ...(since !== undefined && { since: since.toISOString() }),
      ...(until !== undefined && { until: until.toISOString() }),
    },
    (records) => {
      for (const record of records) waiting.push(record);
      wake();
    },
  );
  const end = (): void => {
    over = true;
    wake();
  };
  signal?.addEventListener('abort', end, { once: true });
  if (signal?.aborted === true) end();
  const done = reading.then(end, (error: unknown) => {
    end();
    if (error !== LEFT) throw error;
  });
  // Told below; until then it is nobody's.
  done.catch(() => {});
  try {
    while (signal?.aborted !== true) {
      const record = waiting.shift();
      if (record !== undefined) yield record;
      else if (over) break;
      else
        await new Promise<void>((fulfil) => {
          wake = fulfil;
        });
    }
  } finally {
    end();
    signal?.removeEventListener('abort', end);
  }
  await done;
}

/** Thrown to end the reading of a log that nobody reads any more. */
const LEFT = new Error('the log is no longer read');

/**
 * Sits down in front of a container in the background with this process's own standard streams, until it has ended or the keys are typed. Resolves to
 * how it has ended, undefined if it was left.
 */
export async function attach(options: AttachOptions): Promise<ExitStatus | 'unknown' | undefined> {
  const { detachKeys: keys = 'ctrl-p,ctrl-q', input = true } = options;
  return attachTo(host(), { ...instance(options), keys: detachKeys(keys), input, signals: false });
}

/** What a container has changed in its image's files: only its writable layer is read. */
export async function diff(options: InstanceOptions): Promise<readonly Change[]> {
  return changesOf(opened(options), options.id);
}

/** Makes an image of what a container has changed. */
export async function commit(options: CommitOptions): Promise<CommittedImage> {
  const { id, name, author, message, changes = [], pause = true } = options;
  return makeImage(host(), {
    ...working(options),
    root: inside(options).root,
    id,
    name,
    changes,
    pause,
    ...(author !== undefined && { author }),
    ...(message !== undefined && { message }),
  });
}

export interface PruneOptions extends Omit<InstanceOptions, 'id'> {
  /** Only tell what would be removed. */
  readonly dryRun?: boolean;
}

/** Removes stopped containers of images, and images, layers and leftovers that nobody uses. */
export async function prune(options: PruneOptions = {}): Promise<PrunedAll> {
  const { dryRun = false } = options;
  return pruneAll(opened(options), { ...inside({ ...options, id: '' }), dryRun });
}

export interface FsckOptions extends WorkOptions {
  /** Remove orphans and names that lead nowhere, and unpack damaged layers again. */
  readonly repair?: boolean;
  /** Check records only, and read no contents. */
  readonly quick?: boolean;
  /** What is looked at next. */
  readonly onProgress?: (what: string) => void;
}

/** What is wrong with a store, or was. */
export async function fsck(options: FsckOptions = {}): Promise<readonly Fault[]> {
  const { repair = false, quick = false, onProgress } = options;
  const { store, checkpoint } = working(options);
  return createArchive(host()).fsck({ store, checkpoint, repair, quick, ...(onProgress !== undefined && { progress: onProgress }) });
}

/** Writes an image as a bundle for any runtime. */
export async function bundle(options: BundleOptions): Promise<void> {
  const { image, directory } = options;
  await writeBundle(host(), { ...working(options), ...wishesOf(options), image, directory });
}
