/**
 * The state on disk. `ROOT/ID/state.json` is written before the first thing outside is made and removed after the last is gone; so a
 * directory without it stands for nothing (design rule 8). What cannot be read as a state is damaged, and then nothing in it is believed.
 */
import { isOutOfMemory, StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { hasTrusted } from '../host/trusted.ts';
import type { ContainerTraits } from '../plan/exec.ts';
import type { OperationName } from '../plan/op.ts';
import { OPERATIONS } from '../plan/op.ts';
import { MEMORY_FLAGS, MEMORY_MODES } from '../spec/names.ts';
import { parseProcess } from '../spec/parse.ts';
import type { Hook, MemoryPolicy, NamespaceType, Process, Scheduler } from '../spec/types.ts';
import { NAMESPACE_TYPES } from '../spec/types.ts';
import type { Unit } from '../systemd/scope.ts';
import { ERRNO, hasErrno, messageOf } from './fault.ts';
import { isId } from './id.ts';

const VERSION = 1;
/** Bytes; the annotations and hooks of the largest config.json that is read fit. */
const LARGEST = 64 * 1024 * 1024;
const STATE_FILE = 'state.json';
const START_SOCKET = 'start.sock';
const PROCESS_FILE = 'process.json';
const SECCOMP_FILE = 'seccomp';
const NOTIFY_DIRECTORY = 'notify';

/** A cgroup of the container: the mount point of its hierarchy, and the path below it. */
export interface CgroupIntent {
  readonly hierarchy: string;
  readonly path: string;
  /** The uppermost of the cgroups above it that were missing, and so are made with it. */
  readonly top?: string;
}

/** Where the container is frozen: the host path of its cgroup, and the cgroup version that tells the files' names. */
export interface Freezer {
  readonly version: 1 | 2;
  readonly directory: string;
}

/** The container's class of service. */
export interface RdtGroup {
  /** Host path of its resctrl group. */
  readonly group: string;
  /** Host paths of the groups that were made for the container alone, each before the one that it is in. */
  readonly own: readonly string[];
  /** Host paths of the files by which a process joins. */
  readonly tasks: readonly string[];
}

/** A step of the plan that is carried out by `start`, which has no plan: enough to say what failed. */
export interface Step {
  /** Index into the plan's operations. */
  readonly index: number;
  readonly op: OperationName;
  readonly pointer: string;
  /** What the step does, as the end of 'cannot …'. */
  readonly words: string;
  /** The program, for the steps that execute one; else ''. */
  readonly program: string;
}

/** Who answers the system calls that the container's seccomp filter asks about: for every process of it that gets the filter. */
export interface Listener {
  /** Of the agent's socket; absolute. */
  readonly path: string;
  readonly metadata?: string;
}

/** The directory in the container with its socket of sd_notify(3). */
export interface NotifyPlace {
  readonly place: string;
  /** SELinux label of it and the socket. */
  readonly label?: string;
}

/** state.json. */
export interface ContainerRecord {
  readonly ociVersion: string;
  readonly id: string;
  /** Absolute. */
  readonly bundle: string;
  /** Absolute. */
  readonly rootfs: string;
  /** RFC 3339, UTC. */
  readonly created: string;
  /** How far the work had come; what the container is at this moment is for `observe` to say. */
  readonly status: 'creating' | 'created' | 'running';
  readonly process?: { readonly pid: number; readonly startTime: bigint };
  readonly cgroups: readonly CgroupIntent[];
  /** The cgroups above them do not bear the core's mark, which only the machine's root can set. */
  readonly unmarked?: true;
  /** The unit of systemd's that the container is in. */
  readonly systemd?: Unit;
  readonly freezer?: Freezer;
  readonly rdt?: RdtGroup;
  /** The container has no pid namespace of its own: its first process does not take the others with it. */
  readonly sharedPid: boolean;
  readonly terminal: boolean;
  /** Its namespaces that were there before it, and are not its own to save. */
  readonly joined?: readonly NamespaceType[];
  /** The configuration's `memory.checkBeforeUpdate`, for updates that do not say. */
  readonly checkBeforeUpdate?: boolean;
  /** A hook may have run, so the poststop hooks must (runtime.md#lifecycle, steps 3 to 13). */
  readonly hooksBegun: boolean;
  readonly poststart: readonly Hook[];
  readonly poststop: readonly Hook[];
  readonly startSteps: readonly Step[];
  readonly listener?: Listener;
  readonly notify?: NotifyPlace;
  readonly annotations: Readonly<Record<string, string>>;
  /** User id of who created it. */
  readonly owner: number;
  /** What `exec` has to know; a state that was written before there was `exec` has none. */
  readonly traits?: RecordedTraits;
}

export interface RecordedTraits extends ContainerTraits {
  /** The last of the cgroups is one of cgroup v2. */
  readonly unified: boolean;
  /** Which properties of the first process confine it, see {@link confinement}. */
  readonly confined: number;
}

/** Properties of a process that are those of the container's first where `exec --process` leaves them out, as with runc: else that would be a way out. */
export const CONFINING = [
  'capabilities',
  'apparmorProfile',
  'selinuxLabel',
  'rlimits',
  'oomScoreAdj',
  'scheduler',
  'ioPriority',
  'execCPUAffinity',
] as const satisfies readonly (keyof Process)[];

/** A bit for each of {@link CONFINING} that a process has. */
export function confinement(process: Process | undefined): number {
  let bits = 0;
  if (process === undefined) return bits;
  for (let bit = 0; bit < CONFINING.length; ++bit) {
    const key = CONFINING[bit] as (typeof CONFINING)[number];
    if (process[key] !== undefined && (key !== 'rlimits' || process.rlimits.length > 0)) bits |= 1 << bit;
  }
  return bits;
}

export function containerDirectory(root: string, id: string): string {
  return `${root}/${id}`;
}

/** The socket on which a created container waits for `start`. */
export function startSocket(root: string, id: string): string {
  return `${root}/${id}/${START_SOCKET}`;
}

/** What is bound in the container for sd_notify(3), if its creator listens. */
export function notifyDirectory(root: string, id: string): string {
  return `${root}/${id}/${NOTIFY_DIRECTORY}`;
}

/** The container's own seccomp program, which `exec` loads. */
export function seccompProgram(root: string, id: string): string {
  return `${root}/${id}/${SECCOMP_FILE}`;
}

/** The directory of compiled seccomp programs; no id can have this name. */
export function seccompCache(root: string): string {
  return `${root}/@seccomp`;
}

export function notFound(id: string): StrataError {
  return new StrataError({ code: 'not-found', stage: 'state', reason: `container does not exist: ${id}` });
}

function damaged(id: string, why: string): StrataError {
  return new StrataError({
    code: 'state-damaged',
    stage: 'state',
    reason: `the state of container ${id} is damaged: ${why}`,
    hint: `strata delete --force ${id} removes it`,
  });
}

/** Makes the root if it is missing, and refuses one that another user could change: whoever writes there has root signal what he likes. */
export function prepareRoot(host: Host, root: string): void {
  // The sticky bit keeps it from being cleared up with the user's other old files (XDG Base Directory Specification).
  host.makeDirectories(root, host.userId() === 0 ? 0o711 : 0o1700);
  checkRoot(host, root);
}

/**
 * Whether the root exists.
 *
 * @throws StrataError `system` if it is no directory of root's or the caller's own, or if others can write to it.
 */
export function checkRoot(host: Host, root: string): boolean {
  return hasTrusted(host, root, 'the state root', { stage: 'state' });
}

/** Takes the id: of all who try at the same time, one succeeds. @throws StrataError `exists`. */
export function reserve(host: Host, root: string, id: string): void {
  try {
    host.makeDirectory(containerDirectory(root, id), 0o700);
  } catch (error) {
    if (!hasErrno(error, ERRNO.EEXIST)) throw error;
    throw idTaken(id);
  }
}

export function idTaken(id: string): StrataError {
  return new StrataError({ code: 'exists', stage: 'state', reason: `container with id ${id} exists` });
}

/** Whether a state is recorded under the id, be it damaged. */
export function hasState(host: Host, root: string, id: string): boolean {
  return host.stat(`${containerDirectory(root, id)}/${STATE_FILE}`) !== undefined;
}

/** What CRIU calls cgroup v2: in a container's directory, while CRIU is at work, what leads there. */
const UNIFIED = 'unified';

export function unifiedEntry(root: string, id: string): string {
  return `${containerDirectory(root, id)}/${UNIFIED}`;
}

/** Removes the directory of a container; its state.json last but one, as long as anything depends on it. */
export async function release(host: Host, root: string, id: string): Promise<void> {
  const directory = containerDirectory(root, id);
  for (const name of host.list(directory)) {
    // The container may have had the rights to write there.
    if (name === NOTIFY_DIRECTORY || name === UNIFIED) await host.removeTree(`${directory}/${name}`);
    else if (name !== STATE_FILE) host.removeFile(`${directory}/${name}`);
  }
  host.removeFile(`${directory}/${STATE_FILE}`);
  host.removeDirectory(directory);
}

/** Names of the containers, sorted; none if the root does not exist. */
export function listIds(host: Host, root: string): string[] {
  if (!checkRoot(host, root)) return [];
  return host.list(root).filter((name) => isId(name) && host.stat(containerDirectory(root, name))?.type === 'directory');
}

export function save(host: Host, root: string, record: ContainerRecord): void {
  host.replaceFile(`${containerDirectory(root, record.id)}/${STATE_FILE}`, textOf(record), 0o600);
}

function textOf(record: ContainerRecord): string {
  const { process, ...rest } = record;
  return JSON.stringify({ version: VERSION, ...rest, ...(process && { pid: process.pid, startTime: String(process.startTime) }) });
}

/** Keeps the section of the first process, which `exec` starts from. 64-bit numbers are texts, so that any parser reads them exactly. */
export function saveProcess(host: Host, root: string, id: string, process: Process): void {
  const rlimits = process.rlimits.map(({ type, soft, hard }) => ({ type, soft: String(soft), hard: String(hard) }));
  host.replaceFile(
    `${containerDirectory(root, id)}/${PROCESS_FILE}`,
    JSON.stringify({ ...process, rlimits, ...timesOf(process.scheduler, String) }),
    0o600,
  );
}

/** JSON has no 64-bit integers: `convert` makes text of them, or them of text. */
function timesOf<T extends Partial<Record<keyof Scheduler, unknown>>>(scheduler: T | undefined, convert: (time: unknown) => unknown): object {
  if (scheduler === undefined) return {};
  const { runtime, deadline, period } = scheduler;
  return { scheduler: { ...scheduler, runtime: convert(runtime), deadline: convert(deadline), period: convert(period) } };
}

/** What {@link saveProcess} has kept; undefined for a container without `process`. @throws StrataError `state-damaged` */
export function loadProcess(host: Host, root: string, id: string): Process | undefined {
  try {
    const value = JSON.parse(host.readText(`${containerDirectory(root, id)}/${PROCESS_FILE}`, LARGEST)) as {
      rlimits: Record<string, unknown>[];
      scheduler?: Record<string, unknown>;
    };
    const rlimits = value.rlimits.map(({ type, soft, hard }) => ({ type, soft: BigInt(String(soft)), hard: BigInt(String(hard)) }));
    return parseProcess({ ...value, rlimits, ...timesOf(value.scheduler, (time) => BigInt(String(time))) });
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return undefined;
    if (isOutOfMemory(error) || (error instanceof StrataError && error.errno !== undefined)) throw error;
    throw damaged(id, `${PROCESS_FILE} cannot be read`);
  }
}

/**
 * Reads a container's state. `saved`: the record that the caller has saved; if that is what the file still holds, it need not be read with care.
 *
 * @throws StrataError `not-found`; `state-damaged` if the directory is there but holds no state that could be believed.
 */
export function load(host: Host, root: string, id: string, saved?: ContainerRecord): ContainerRecord {
  const directory = containerDirectory(root, id);
  let text: string;
  try {
    text = host.readText(`${directory}/${STATE_FILE}`, LARGEST);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) throw host.stat(directory) === undefined ? notFound(id) : damaged(id, `${STATE_FILE} is missing`);
    if (hasErrno(error, ERRNO.EFBIG, ERRNO.EILSEQ, ERRNO.EISDIR)) throw damaged(id, messageOf(error));
    throw error;
  }
  return saved !== undefined && text === textOf(saved) ? saved : parseRecord(text, id);
}

/** The record in the text of a state.json. @throws StrataError `state-damaged`. */
export function parseRecord(text: string, id: string): ContainerRecord {
  let value: unknown;
  try {
    // Enough here: no number of ours is large, and what else may be in the document, however deep, is not looked at.
    value = JSON.parse(text);
  } catch (error) {
    // A want of memory says nothing about the state.
    if (isOutOfMemory(error)) throw error;
    throw damaged(id, 'not valid JSON');
  }
  const read = new Reader(value, id);
  if (read.field('version') !== VERSION) throw damaged(id, `version is not ${VERSION}`);
  if (read.string('id') !== id) throw damaged(id, 'id is that of another container');
  const process = read.process();
  const freezer = read.freezer();
  const traits = read.traits();
  const listener = read.listener();
  const notify = read.notify();
  return {
    ociVersion: read.string('ociVersion'),
    id,
    bundle: read.absolute('bundle'),
    rootfs: read.absolute('rootfs'),
    created: read.string('created'),
    status: read.status(),
    ...(process && { process }),
    cgroups: read.list('cgroups', (item) => item.cgroup()),
    ...(read.field('unmarked') !== undefined && read.boolean('unmarked') && { unmarked: true as const }),
    ...(read.field('systemd') !== undefined && { systemd: read.systemd() }),
    ...(freezer && { freezer }),
    ...(read.field('rdt') !== undefined && { rdt: read.rdt() }),
    sharedPid: read.boolean('sharedPid'),
    terminal: read.boolean('terminal'),
    ...(read.field('joined') !== undefined && { joined: read.joined() }),
    ...(read.field('checkBeforeUpdate') !== undefined && { checkBeforeUpdate: read.boolean('checkBeforeUpdate') }),
    hooksBegun: read.boolean('hooksBegun'),
    poststart: read.list('poststart', (item) => item.hook()),
    poststop: read.list('poststop', (item) => item.hook()),
    startSteps: read.list('startSteps', (item) => item.step()),
    ...(listener && { listener }),
    ...(notify && { notify }),
    annotations: read.annotations(),
    owner: read.integer('owner', 0, 0xffff_ffff),
    ...(traits && { traits }),
  };
}

function isBelow(path: string, directory: string): boolean {
  return (path === directory || path.startsWith(`${directory}/`)) && !path.includes('\0') && !path.split('/').includes('..');
}

/** Reads the properties of one object of the state, and believes none of them unseen. */
class Reader {
  private readonly object: Readonly<Record<string, unknown>>;
  private readonly id: string;

  constructor(value: unknown, id: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw damaged(id, 'not an object');
    this.object = value as Readonly<Record<string, unknown>>;
    this.id = id;
  }

  /** `key` is a name of ours, and none that every object inherits. */
  field(key: string): unknown {
    return this.object[key];
  }

  private wrong(key: string): StrataError {
    return damaged(this.id, `${key} is missing or wrong`);
  }

  string(key: string): string {
    const value = this.object[key];
    if (typeof value !== 'string' || value.includes('\0')) throw this.wrong(key);
    return value;
  }

  absolute(key: string): string {
    const value = this.string(key);
    if (!value.startsWith('/')) throw this.wrong(key);
    return value;
  }

  /** Absolute and without a way up: what lies at these places is killed and removed. */
  below(key: string): string {
    const value = this.object[key];
    if (typeof value !== 'string' || !value.startsWith('/') || value.includes('\0')) throw this.wrong(key);
    if (value.includes('..') && value.split('/').includes('..')) throw this.wrong(key);
    return value;
  }

  boolean(key: string): boolean {
    const value = this.field(key);
    if (typeof value !== 'boolean') throw this.wrong(key);
    return value;
  }

  integer(key: string, least: number, most: number): number {
    const value = this.field(key);
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) throw this.wrong(key);
    return value;
  }

  /** What `read` makes of each object of a list. */
  list<T>(key: string, read: (item: Reader) => T): T[] {
    const value = this.field(key);
    if (!Array.isArray(value)) throw this.wrong(key);
    return value.map((item) => read(new Reader(item, this.id)));
  }

  strings(key: string): string[] {
    const value = this.field(key);
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw this.wrong(key);
    return value;
  }

  status(): ContainerRecord['status'] {
    const value = this.field('status');
    if (value !== 'creating' && value !== 'created' && value !== 'running') throw this.wrong('status');
    return value;
  }

  /** Both or neither: a pid without its start time names nobody. */
  process(): ContainerRecord['process'] {
    if (this.field('pid') === undefined && this.field('startTime') === undefined) {
      if (this.status() !== 'creating') throw this.wrong('pid');
      return undefined;
    }
    const text = this.string('startTime');
    if (!/^[0-9]{1,20}$/.test(text)) throw this.wrong('startTime');
    return { pid: this.integer('pid', 1, 2 ** 22), startTime: BigInt(text) };
  }

  cgroup(): CgroupIntent {
    const hierarchy = this.below('hierarchy');
    const path = this.below('path');
    if (this.field('top') === undefined) return { hierarchy, path };
    const top = this.below('top');
    if (!path.startsWith(`${top}/`)) throw this.wrong('top');
    return { hierarchy, path, top };
  }

  joined(): NamespaceType[] {
    return this.strings('joined').map((type) => NAMESPACE_TYPES.find((known) => known === type) ?? this.refuse('joined'));
  }

  private refuse(key: string): never {
    throw this.wrong(key);
  }

  systemd(): Unit {
    const inner = new Reader(this.field('systemd'), this.id);
    const manager = inner.string('manager');
    if (manager !== 'system' && manager !== 'user') throw inner.wrong('manager');
    const unit = inner.string('unit');
    if (!/^[\w:.\\@-]+\.scope$/.test(unit)) throw inner.wrong('unit');
    return { manager, unit };
  }

  freezer(): Freezer | undefined {
    if (this.field('freezer') === undefined) return undefined;
    const inner = new Reader(this.field('freezer'), this.id);
    return { version: inner.integer('version', 1, 2) as 1 | 2, directory: inner.below('directory') };
  }

  traits(): RecordedTraits | undefined {
    if (this.field('traits') === undefined) return undefined;
    const inner = new Reader(this.field('traits'), this.id);
    const personality = inner.field('personality');
    if (personality !== undefined && personality !== 'LINUX' && personality !== 'LINUX32') throw this.wrong('traits');
    return {
      namespaces: inner.integer('namespaces', 0, 0xffff_ffff),
      ownRoot: inner.boolean('ownRoot'),
      keyring: inner.boolean('keyring'),
      seccomp: inner.boolean('seccomp'),
      unified: inner.boolean('unified'),
      confined: inner.integer('confined', 0, 2 ** CONFINING.length - 1),
      ...(personality !== undefined && { personality }),
      ...(inner.field('memoryPolicy') !== undefined && { memoryPolicy: new Reader(inner.field('memoryPolicy'), this.id).memoryPolicy() }),
    };
  }

  listener(): Listener | undefined {
    if (this.field('listener') === undefined) return undefined;
    const inner = new Reader(this.field('listener'), this.id);
    const path = inner.absolute('path');
    return inner.field('metadata') === undefined ? { path } : { path, metadata: inner.string('metadata') };
  }

  notify(): NotifyPlace | undefined {
    if (this.field('notify') === undefined) return undefined;
    const inner = new Reader(this.field('notify'), this.id);
    const place = inner.absolute('place');
    return inner.field('label') === undefined ? { place } : { place, label: inner.string('label') };
  }

  private memoryPolicy(): MemoryPolicy {
    const mode = this.string('mode');
    const flags = this.strings('flags');
    if (MEMORY_MODES[mode] === undefined || flags.some((flag) => MEMORY_FLAGS[flag] === undefined)) throw this.wrong('memoryPolicy');
    return { mode, flags, ...(this.field('nodes') !== undefined && { nodes: this.string('nodes') }) };
  }

  rdt(): RdtGroup {
    const inner = new Reader(this.field('rdt'), this.id);
    const group = inner.below('group');
    const own = inner.strings('own');
    const tasks = inner.strings('tasks');
    // What is removed and written must lie in the group.
    for (const [key, paths] of Object.entries({ own, tasks })) if (!paths.every((path) => isBelow(path, group))) throw inner.wrong(key);
    return { group, own, tasks };
  }

  hook(): Hook {
    return {
      path: this.absolute('path'),
      args: this.strings('args'),
      ...(this.field('env') !== undefined && { env: this.strings('env') }),
      ...(this.field('timeout') !== undefined && { timeout: this.integer('timeout', 1, Number.MAX_SAFE_INTEGER) }),
    };
  }

  step(): Step {
    const op = this.string('op');
    if (!Object.hasOwn(OPERATIONS, op)) throw this.wrong('op');
    return {
      index: this.integer('index', 0, 2 ** 31),
      op: op as OperationName,
      pointer: this.string('pointer'),
      words: this.string('words'),
      program: this.string('program'),
    };
  }

  annotations(): Readonly<Record<string, string>> {
    const value = this.field('annotations');
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.wrong('annotations');
    if (!Object.values(value).every((item) => typeof item === 'string')) throw this.wrong('annotations');
    return value as Readonly<Record<string, string>>;
  }
}
