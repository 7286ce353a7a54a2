/**
 * The {@link Host} over the core's functions, the same for every JavaScript engine: `node.ts` has them from the addon, `quickjs.ts` from the
 * program that it is linked into.
 */
import { StrataError } from '../base/error.ts';
import type {
  Command,
  CommandResult,
  Descriptor,
  ExitStatus,
  FinishedLayer,
  Host,
  LaunchDescriptors,
  Launched,
  LaunchFailure,
  NewLayer,
  Packet,
  SeccompAgent,
  WaitedEvent,
  WaitingPoint,
  WireValue,
} from './host.ts';
import { LaunchError } from './host.ts';

/** A promise on Node; in the static command, which has nothing else to do meanwhile, the value itself. */
type Later<Value> = Value | Promise<Value>;

/** What is the same on both sides: `Host` promises it, and the core does it. */
type Same =
  | 'writeText'
  | 'createFile'
  | 'replaceFile'
  | 'appendFile'
  | 'stat'
  | 'device'
  | 'list'
  | 'makeDirectory'
  | 'makeDirectories'
  | 'makeDirectoryLike'
  | 'setLabel'
  | 'become'
  | 'makeLink'
  | 'removeFile'
  | 'removeDirectory'
  | 'setGroup'
  | 'openFile'
  | 'realPath'
  | 'workingDirectory'
  | 'userId'
  | 'timestamp'
  | 'tryLock'
  | 'lock'
  | 'rename'
  | 'randomDigits'
  | 'close'
  | 'listen'
  | 'connect'
  | 'socketPair'
  | 'packetPair'
  | 'pipe'
  | 'sendDescriptor'
  | 'notifySocket'
  | 'bindNotify'
  | 'connectNotify'
  | 'awaitsStart'
  | 'amend'
  | 'openProcess'
  | 'signal'
  | 'watchMemory'
  | 'signalCgroup'
  | 'windowSize'
  | 'holdSignals'
  | 'interruption'
  | 'openLog'
  | 'isFileAt'
  | 'readLines'
  | 'lastLines'
  | 'tell'
  | 'keep'
  | 'sha256'
  | 'endNewLayer'
  | 'unknownSystemCalls';

/** The functions of `native/face`. Each throws, or rejects with, a {@link LaunchFailure}; text is without NUL where it is a path. */
export interface Native extends Pick<Host, Same> {
  /** The core's own table of operations, to be compared with the one of `src/plan`. */
  wireTable(): string;
  /** The bytes that the core would make of a plan, in hexadecimal digits, for tests. */
  planBytes(plan: readonly WireValue[]): string;
  libseccompVersion(): string;

  attach(socket: string, pidfd: Descriptor, terminal: boolean, input: boolean, keys: string): Later<ExitStatus | 'unknown' | undefined>;
  /** Only in a process with one thread: see {@link Host.divide}. */
  divide(): string | undefined;
  readText(path: string, limit: number): string;
  readAll(descriptor: Descriptor, limit: number): string;
  writeAll(descriptor: Descriptor, text: string): void;
  receiveDescriptor(socket: Descriptor): Later<Descriptor>;
  exchange(socket: Descriptor, bytes: string, timeout: number): Later<string | undefined>;
  exchangePacket(socket: Descriptor, bytes: string, timeout: number): Later<Packet | undefined>;
  awaitReady(socket: Descriptor, pidfd: Descriptor): Later<'ready' | 'exit' | 'signal'>;
  tellReady(caller: Descriptor, text: string, timeout: number): Later<void>;

  /** `stdio`: what becomes 0, 1 and 2, and all that follows. */
  launch(plan: readonly WireValue[], stdio: readonly Descriptor[], preserve: number, console: Descriptor, start: Descriptor): Later<Launched>;
  /** Resolves with whether the process is at the hooks, and not ready; after a failure `sync` is closed. */
  settle(pidfd: Descriptor, sync: Descriptor, agent: readonly string[]): Later<boolean>;
  /** Resolves with whether the process was at the hooks and is ready now; otherwise, and after a failure, `sync` is closed. */
  proceed(pidfd: Descriptor, sync: Descriptor, waitsForStart: boolean, agent: readonly string[]): Later<boolean>;
  /** `sync` is closed in any case. */
  awaitExecution(pidfd: Descriptor, sync: Descriptor, agent: readonly string[]): Later<void>;
  abandon(pidfd: Descriptor, sync: Descriptor): Later<void>;
  start(socket: string, pidfd: Descriptor, agent: readonly string[]): Later<void>;

  waitExit(pidfd: Descriptor, timeout: number): Later<ExitStatus | 'unknown' | undefined>;
  waitEvent(pidfd: Descriptor, memory: Descriptor, version: number, cancel: Descriptor, timeout: number): Later<WaitedEvent>;
  changes(upper: string, lower: readonly string[], destinations: readonly string[], userAttributes: boolean): Later<readonly string[]>;
  removeCgroups(hierarchies: readonly string[], paths: readonly string[], timeout: number): Later<void>;
  run(command: Command): Later<CommandResult>;
  syncFile(path: string): Later<void>;
  syncFileSystem(path: string): Later<void>;
  /** `notify` and `caller`: the two of {@link Notify}, or -1. */
  foreground(pidfd: Descriptor, console: Descriptor, notify: Descriptor, caller: Descriptor): Later<ExitStatus>;
  exitNow(status: number): void;

  removeTree(path: string): Later<void>;
  syncTree(path: string, most: number): Later<boolean>;
  diskUsage(path: string): Later<number>;
  readLayered(layers: readonly string[], path: string, limit: number): string | undefined;
  copyLayered(layers: readonly string[], path: string, destination: string): Later<boolean>;

  beginNewLayer(
    upper: string,
    lower: readonly string[],
    destinations: readonly string[],
    userAttributes: boolean,
    latest: bigint,
    directory: string,
    archive: string,
  ): Later<NewLayer>;
  nextRecords(layer: NewLayer): Later<Uint8Array | undefined>;
  writeArchive(layer: NewLayer, bytes: Uint8Array): Later<void>;
  finishNewLayer(layer: NewLayer): Later<FinishedLayer>;
}

/** Of a time of modification: no file has a later one. */
const LATEST = 2n ** 63n - 1n;
const DEFAULT_LIMIT = 1024 * 1024;
/** The core takes 32-bit milliseconds; a longer wait is 24 days in any case. */
const LONGEST_WAIT = 2 ** 31 - 1;

/** What the language runtime gives and the core does not. */
export interface Platform {
  readonly kind: Host['kind'];
  readonly environment: Host['environment'];
  readonly now: Host['now'];
  readonly sleep: Host['sleep'];
  readonly isInherited: Host['isInherited'];
  readonly ownCommand: Host['ownCommand'];
}

/** The host that does everything through `native`. */
export function createHost(native: Native, platform: Platform): Host {
  /** What `proceed` and `abandon` have to know of a launched process, by its socket; gone when the socket is closed. */
  const launches = new Map<Descriptor, { readonly pidfd: Descriptor; readonly waitsForStart: boolean }>();

  /** Does `call`, which closes `sync` if it fails, and otherwise unless `isOpen` says that it is still open. */
  async function whileOpen(sync: Descriptor, call: () => Later<boolean>, isOpen = (_: boolean) => true): Promise<boolean> {
    const known = launches.get(sync);
    // The number is given up before the socket is closed, for another launch may get it at once.
    launches.delete(sync);
    const result = await attemptLaunch(call);
    if (known !== undefined && isOpen(result)) launches.set(sync, known);
    return result;
  }
  const readText = guarded(native.readText);
  const readAll = guarded(native.readAll);
  const writeAll = guarded(native.writeAll);
  const readLayered = guarded(native.readLayered);
  const divide = guarded(native.divide);

  return {
    ...platform,

    readText: (path, limit = DEFAULT_LIMIT) => readText(path, limit),
    readAll: (descriptor, limit = DEFAULT_LIMIT) => readAll(descriptor, limit),
    writeText: guarded(native.writeText),
    createFile: guarded(native.createFile),
    replaceFile: guarded(native.replaceFile),
    stat: guarded(native.stat),
    device: guarded(native.device),
    list: guarded(native.list),
    makeDirectory: guarded(native.makeDirectory),
    makeDirectories: guarded(native.makeDirectories),
    makeDirectoryLike: guarded(native.makeDirectoryLike),
    setLabel: guarded(native.setLabel),
    become: guarded(native.become),
    makeLink: guarded(native.makeLink),
    removeFile: guarded(native.removeFile),
    removeDirectory: guarded(native.removeDirectory),
    setGroup: guarded(native.setGroup),
    openFile: guarded(native.openFile),
    realPath: guarded(native.realPath),
    changes: (upper, lower, destinations, userAttributes) => attemptLater(() => native.changes(upper, lower, destinations, userAttributes)),
    rename: guarded(native.rename),
    syncFile: (path) => attemptLater(() => native.syncFile(path)),
    syncFileSystem: (path) => attemptLater(() => native.syncFileSystem(path)),
    randomDigits: guarded(native.randomDigits),
    workingDirectory: guarded(native.workingDirectory),
    userId: guarded(native.userId),

    timestamp: guarded(native.timestamp),
    tryLock: guarded(native.tryLock),
    lock: guarded(native.lock),
    close: guarded(native.close),

    listen: guarded(native.listen),
    connect: guarded(native.connect),
    socketPair: guarded(native.socketPair),
    packetPair: guarded(native.packetPair),
    pipe: guarded(native.pipe),
    sendDescriptor: guarded(native.sendDescriptor),
    notifySocket: guarded(native.notifySocket),
    bindNotify: guarded(native.bindNotify),
    connectNotify: guarded(native.connectNotify),
    awaitReady: (socket, pidfd) => attemptLater(() => native.awaitReady(socket, pidfd)),
    tellReady: (caller, text, timeout) => attemptLater(() => native.tellReady(caller, text, timeout)),
    receiveDescriptor: (socket) => attemptLater(() => native.receiveDescriptor(socket)),
    exchange: (socket, bytes, timeout) => attemptLater(() => native.exchange(socket, bytes, Math.min(Math.ceil(timeout), LONGEST_WAIT))),
    exchangePacket: (socket, bytes, timeout) => attemptLater(() => native.exchangePacket(socket, bytes, Math.min(Math.ceil(timeout), LONGEST_WAIT))),

    async launch(plan: readonly WireValue[], { stdio, preserve, passed, console, start }: LaunchDescriptors): Promise<Launched> {
      const first = passed === undefined ? stdio : [...stdio, ...passed];
      const launched = await attemptLaunch(() => native.launch(plan, first, preserve, console, start));
      launches.set(launched.sync, { pidfd: launched.pidfd, waitsForStart: start !== -1 });
      return launched;
    },
    async settle({ pidfd, sync }: Launched, agent?: SeccompAgent): Promise<WaitingPoint> {
      return (await whileOpen(sync, () => native.settle(pidfd, sync, agentFields(agent)))) ? 'hooks' : 'ready';
    },
    async proceed({ pidfd, sync }: Launched, from: WaitingPoint, agent?: SeccompAgent): Promise<void> {
      const waitsForStart = from === 'ready' && launches.get(sync)?.waitsForStart === true;
      await whileOpen(
        sync,
        () => native.proceed(pidfd, sync, waitsForStart, agentFields(agent)),
        (ready) => ready,
      );
    },
    awaitExecution({ pidfd, sync }: Launched, agent?: SeccompAgent): Promise<void> {
      launches.delete(sync);
      return attemptLaunch(() => native.awaitExecution(pidfd, sync, agentFields(agent)));
    },
    abandon({ pidfd, sync }: Launched): Promise<void> {
      const open = launches.get(sync)?.pidfd === pidfd;
      if (open) launches.delete(sync);
      return attemptLater(() => native.abandon(pidfd, open ? sync : -1));
    },
    awaitsStart: guarded(native.awaitsStart),
    amend: guarded(native.amend),
    start: (socket, agent, pidfd = -1) => attemptLaunch(() => native.start(socket, pidfd, agentFields(agent))),

    openProcess: guarded(native.openProcess),
    signal: guarded(native.signal),
    waitExit: (pidfd, timeout) => attemptLater(() => native.waitExit(pidfd, Math.min(Math.ceil(timeout), LONGEST_WAIT))),
    watchMemory: guarded(native.watchMemory),
    waitEvent: ({ pidfd, memory, version, cancel }, timeout) =>
      attemptLater(() => native.waitEvent(pidfd, memory, version, cancel, Math.min(Math.ceil(timeout), LONGEST_WAIT))),
    signalCgroup: guarded(native.signalCgroup),
    removeCgroups: (cgroups, timeout) => {
      const hierarchies = cgroups.map(({ hierarchy }) => hierarchy);
      const paths = cgroups.map(({ path }) => path);
      return attemptLater(() => native.removeCgroups(hierarchies, paths, timeout));
    },
    run: (command) => attemptLater(() => native.run(command)),
    foreground: (pidfd, console, notify) => attemptLater(() => native.foreground(pidfd, console, notify?.socket ?? -1, notify?.caller ?? -1)),
    windowSize: guarded(native.windowSize),
    holdSignals: guarded(native.holdSignals),
    interruption: guarded(native.interruption),
    attach: (socket, pidfd, terminal, input, keys) => attemptLater(() => native.attach(socket, pidfd, terminal, input, keys)),
    openLog: guarded(native.openLog),
    isFileAt: guarded(native.isFileAt),
    readLines: guarded(native.readLines),
    lastLines: guarded(native.lastLines),
    divide: () => (platform.kind === 'static' ? divide() : undefined),
    tell: guarded(native.tell),
    keep: guarded(native.keep),
    unknownSystemCalls: guarded(native.unknownSystemCalls),

    removeTree: (path) => attemptLater(() => native.removeTree(path)),
    syncTree: (path, most) => attemptLater(() => native.syncTree(path, most)),
    diskUsage: (path) => attemptLater(() => native.diskUsage(path)),
    readLayered: (layers, path, limit = DEFAULT_LIMIT) => readLayered(layers, path, limit),
    copyLayered: (layers, path, destination) => attemptLater(() => native.copyLayered(layers, path, destination)),

    sha256: guarded(native.sha256),
    beginNewLayer: ({ upper, lower, destinations, userAttributes, latest, directory, archive }) => {
      const last = latest === undefined ? LATEST : BigInt(latest);
      return attemptLayer(() => native.beginNewLayer(upper, lower, destinations, userAttributes, last, directory, archive));
    },
    nextRecords: (layer) => attemptLayer(() => native.nextRecords(layer)),
    writeArchive: (layer, bytes) => attemptLater(() => native.writeArchive(layer, bytes)),
    finishNewLayer: (layer) => attemptLater(() => native.finishNewLayer(layer)),
    endNewLayer: guarded(native.endNewLayer),

    print: (text) => writeAll(1, text),
    printError: (text) => writeAll(2, text),
    appendFile: guarded(native.appendFile),
  };
}

const NO_AGENT: readonly string[] = [];

function agentFields(agent: SeccompAgent | undefined): readonly string[] {
  return agent === undefined ? NO_AGENT : [agent.path, agent.state];
}

/**
 * The function, but what the core throws becomes a StrataError of code `system`. Made once for each, and without a list of arguments: QuickJS would
 * spend as long on a closure or a list for every call as on the call. No function here takes more than three.
 */
function guarded<Call extends (...values: never[]) => unknown>(call: Call): Call {
  const any = call as unknown as (...values: unknown[]) => unknown;
  const guard = (first: unknown, second: unknown, third: unknown): unknown => {
    try {
      return any(first, second, third);
    } catch (failure) {
      throw systemError(failure);
    }
  };
  return guard as unknown as Call;
}

/** Does `call`, which may be a promise's; failures as above. */
async function attemptLater<Value>(call: () => Later<Value>): Promise<Value> {
  try {
    return await call();
  } catch (failure) {
    throw systemError(failure);
  }
}

/** The same for launch, proceed and start, whose failures name an operation of the plan. */
async function attemptLaunch<Value>(call: () => Later<Value>): Promise<Value> {
  try {
    return await call();
  } catch (failure) {
    throw isFailure(failure) ? new LaunchError(failure) : failure;
  }
}

/** The same for what reads a container's files. A failure with a reason in words is about what no layer can hold. */
async function attemptLayer<Value>(call: () => Later<Value>): Promise<Value> {
  try {
    return await call();
  } catch (failure) {
    if (!isFailure(failure)) throw failure;
    const { syscall, errno, path, detail } = failure;
    if (detail !== '') throw new StrataError({ code: 'config-unsupported', reason: `/${path} ${detail}`, path });
    throw new StrataError({ code: 'system', reason: `cannot read ${path}: ${syscall}`, syscall, errno, path });
  }
}

function isFailure(value: unknown): value is LaunchFailure {
  return typeof value === 'object' && value !== null && !(value instanceof Error) && 'syscall' in value && 'errno' in value;
}

function systemError(failure: unknown): unknown {
  if (!isFailure(failure)) return failure;
  const { syscall, errno, path, detail } = failure;
  return new StrataError({
    code: 'system',
    reason: detail === '' ? syscall : `${syscall}: ${detail}`,
    syscall,
    ...(errno !== 0 && { errno }),
    ...(path !== '' && { path }),
  });
}
