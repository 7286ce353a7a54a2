/**
 * What strata needs of the world: the one interface between the TypeScript and the machine. `native.ts` implements it over the
 * core's functions; everything above imports only this file. Every path here is a host path, never one below a container's root (design rule 1).
 *
 * Synchronous functions touch only small files of the runtime's own or of the kernel; whatever can take time returns a promise.
 * Every function reports a refusal of the kernel by throwing a StrataError of code `system` with syscall, errno and path.
 */

/** An open descriptor that its holder must close with {@link Host.close}. */
export type Descriptor = number;

/**
 * What a plan is on its way to the core, which makes bytes of it: a number is a u32, and so is a boolean; a bigint is a u64; a text is UTF-8 without
 * NUL, its length before it; so are bytes; a list is its length in bytes, then its values.
 */
export type WireValue = number | boolean | bigint | string | Uint8Array | readonly WireValue[];

export interface FileStatus {
  readonly type: 'file' | 'directory' | 'symlink' | 'socket' | 'character' | 'block' | 'fifo';
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  /** In bytes. */
  readonly size: number;
}

/** A device node of the host. */
export interface DeviceStatus {
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Descriptors that a new process gets; all stay the caller's to close. */
export interface LaunchDescriptors {
  /** Become 0, 1 and 2. */
  readonly stdio: readonly [Descriptor, Descriptor, Descriptor];
  /** So many descriptors from 3 on are passed on under their own numbers. */
  readonly preserve: number;
  /** Become 3, 4 and so on, at most eight; with these `preserve` is 0. */
  readonly passed?: readonly Descriptor[];
  /** A connected socket to which the terminal's master is sent, or -1. */
  readonly console: Descriptor;
  /** The listening socket of {@link Host.listen} on which `start` will come, or -1 when the launcher itself says go. */
  readonly start: Descriptor;
}

/** A container process that has not been let go: {@link Host.settle}, {@link Host.proceed} and {@link Host.abandon} are about it. */
export interface Launched {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: ticks since boot; with the pid it names the process for good. */
  readonly startTime: bigint;
  readonly pidfd: Descriptor;
  /** The socket to strata-init. */
  readonly sync: Descriptor;
}

/** Who takes the listener of a seccomp filter. */
export interface SeccompAgent {
  /** Of its unix socket, of any length. */
  readonly path: string;
  /** What it is told: a container process state, JSON. */
  readonly state: string;
}

/** Where a container process waits: for the runtime's hooks, or set up and ready for the program. */
export type WaitingPoint = 'hooks' | 'ready';

/** Thrown by launch, settle, proceed and start: which operation of the plan failed, and how. */
export interface LaunchFailure {
  /** Index into the plan's operations, -1 if none. */
  readonly operation: number;
  readonly syscall: string;
  readonly errno: number;
  readonly path: string;
  /** More than an errno can say, such as how a hook ended; else ''. */
  readonly detail: string;
}

export interface ExitStatus {
  /** What a shell would report: the status, or 128 + signal. */
  readonly code: number;
  /** The signal's number if it was killed by one. */
  readonly signal?: number;
}

/** A descriptor that is not wanted is -1. */
export interface EventSources {
  readonly pidfd: Descriptor;
  /** Of {@link Host.watchMemory}, and the version that it was for. */
  readonly memory: Descriptor;
  readonly version: 1 | 2;
  /** The end to read from of a pipe. */
  readonly cancel: Descriptor;
}

export type WaitedEvent = 'memory' | 'exit' | 'cancel' | 'timeout';

/** The ends of what is said to a container's socket of sd_notify(3). */
export interface Notify {
  /** Of {@link Host.notifySocket}. */
  readonly socket: Descriptor;
  /** Of {@link Host.connectNotify}: who is told; -1 for nobody. */
  readonly caller: Descriptor;
}

export interface CgroupName {
  /** Mount point. */
  readonly hierarchy: string;
  /** Below it. */
  readonly path: string;
}

export interface Command {
  readonly path: string;
  /** argv, args[0] included. */
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly stdin: string;
  /** Milliseconds; 0 for no limit. The whole process group is killed when it is over. */
  readonly timeout: number;
}

export interface CommandResult {
  readonly status: ExitStatus;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Packet {
  /** One character for each. */
  readonly bytes: string;
  readonly descriptor: Descriptor;
}

/** A layer that is being made; for one caller at a time. */
export type NewLayer = number;

export interface NewLayerOptions {
  /** The container's writable layer. */
  readonly upper: string;
  /** The layers below, top to bottom. */
  readonly lower: readonly string[];
  /** Where mounts are in the container: what is empty there, and in no layer, was made for them. */
  readonly destinations: readonly string[];
  /** The overlay is mounted with `userxattr`. */
  readonly userAttributes: boolean;
  /** Seconds since 1970: later times of modification become this one. */
  readonly latest: number | undefined;
  /** Of the layer; empty. */
  readonly directory: string;
  /** A file that does not exist: what {@link Host.writeArchive} gets, compressed with gzip. */
  readonly archive: string;
}

export interface FinishedLayer {
  /** Digest of the archive before compression, `sha256:…`. */
  readonly diffId: string;
  /** Of the file. */
  readonly digest: string;
  /** Of the file, in bytes. */
  readonly archiveSize: number;
  /** What a layer cannot hold and has been left out: how much, and one of each. */
  readonly sockets: number;
  readonly socket: string;
  readonly attributes: number;
  readonly attribute: string;
}

export interface Host {
  readonly kind: 'node' | 'static';

  // --- files -----------------------------------------------------------------------------------------------------------------------------

  /** A whole file as UTF-8 text. Larger than `limit` bytes (default 1 MiB): EFBIG. Invalid UTF-8: EILSEQ. */
  readText(path: string, limit?: number): string;
  /** All that can be read from a descriptor, as {@link readText} has it: what another program writes into our standard input. */
  readAll(descriptor: Descriptor, limit?: number): string;
  /** Write to a file that exists (a kernel file) with one write(2). */
  writeText(path: string, text: string): void;
  /** A new file, in a directory that nobody else looks into yet. EEXIST where something has the name. */
  createFile(path: string, text: string, mode: number): void;
  /** Replace a file: temporary name in the same directory, rename(2). */
  replaceFile(path: string, text: string, mode: number): void;
  /** undefined if nothing is there. Does not follow a final symbolic link. */
  stat(path: string): FileStatus | undefined;
  /** The device that a path leads to, through symbolic links; undefined if it leads to something else. */
  device(path: string): DeviceStatus | undefined;
  /** Names in a directory, without `.` and `..`, sorted. */
  list(path: string): string[];
  /** mkdir(2). */
  makeDirectory(path: string, mode: number): void;
  /** mkdir -p. */
  makeDirectories(path: string, mode: number): void;
  /** A new directory with the owner and the permissions of the directory `like`. */
  makeDirectoryLike(path: string, like: string): void;
  /** Gives a file or directory an SELinux label, `security.selinux` in xattr(7). What lies in it keeps its own. */
  setLabel(path: string, label: string): void;
  /** A symbolic link at `path`. */
  makeLink(target: string, path: string): void;
  /** unlink(2); nothing there is not an error. */
  removeFile(path: string): void;
  /** rmdir(2). */
  removeDirectory(path: string): void;
  /**
   * What is different in an upper directory of overlayfs from the layers below it (`lower`, top to bottom): `A`, `C` or `D` for added, changed and
   * deleted, then the absolute path, in which a backslash is doubled and \xNN stands for a control character and each byte that is not UTF-8. What is
   * empty at `destinations`, and in no layer, was made for mounts and is left out. `userAttributes`: the overlay is mounted with `userxattr`.
   */
  changes(upper: string, lower: readonly string[], destinations: readonly string[], userAttributes: boolean): Promise<readonly string[]>;
  /** rename(2). EEXIST where something has the new name already, unless `replace`. */
  rename(from: string, to: string, replace: boolean): void;
  /** fsync(2) of a file, or of a directory and so of the names in it. */
  syncFile(path: string): Promise<void>;
  /** syncfs(2): everything that was written to the file system that `path` is on. */
  syncFileSystem(path: string): Promise<void>;
  /** chown(2) of the group alone. Does not follow a final symbolic link. */
  setGroup(path: string, gid: number): void;
  /** open(2) of a file or a directory, to be read or handed on. */
  openFile(path: string): Descriptor;
  /** realpath(3). */
  realPath(path: string): string;
  /** The working directory, absolute. */
  workingDirectory(): string;
  /** Environment variable of this process. */
  environment(name: string): string | undefined;
  /** Effective user id of this process. */
  userId(): number;

  // --- time and locks ---------------------------------------------------------------------------------------------------------------------

  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Now, as RFC 3339 in UTC with nanoseconds, the form of `created` in runc's state. */
  timestamp(): string;
  sleep(milliseconds: number): Promise<void>;
  /** flock(LOCK_EX | LOCK_NB) on a directory: a descriptor to close, or undefined when another holds it or the directory is gone. */
  tryLock(directory: string): Descriptor | undefined;
  /** As {@link tryLock}, but many can hold it `shared` at a time. */
  lock(directory: string, shared: boolean): Descriptor | undefined;
  /** Hexadecimal digits of so many random bytes, 64 at most. */
  randomDigits(bytes: number): string;
  close(descriptor: Descriptor): void;
  /** Was `descriptor` open when this process was started (and not opened by its own language runtime)? */
  isInherited(descriptor: Descriptor): boolean;

  // --- the container's first process --------------------------------------------------------------------------------------------------------

  /** A listening unix socket at `path` (any length), mode 0600. */
  listen(path: string): Descriptor;
  /** A connected unix stream socket (any length of path). */
  connect(path: string): Descriptor;
  /** A connected pair of unix stream sockets. */
  socketPair(): [Descriptor, Descriptor];
  /** The same of sockets that keep the bounds of what is sent (SOCK_SEQPACKET). */
  packetPair(): [Descriptor, Descriptor];
  /** pipe2(2): the end to read from and the end to write to. */
  pipe(): [Descriptor, Descriptor];
  /** Receive one descriptor that was sent with SCM_RIGHTS. */
  receiveDescriptor(socket: Descriptor): Promise<Descriptor>;
  /**
   * Send all of `bytes`, then wait up to `timeout` milliseconds for an answer and give back what there is of it: '' when the other end has closed,
   * undefined when the time is over. Bytes are texts here, one character for each.
   */
  exchange(socket: Descriptor, bytes: string, timeout: number): Promise<string | undefined>;
  /**
   * The same with packets, on a socket of {@link packetPair}: none is sent if `bytes` is ''. `descriptor`: what came with the answer, the caller's to
   * close, or -1.
   */
  exchangePacket(socket: Descriptor, bytes: string, timeout: number): Promise<Packet | undefined>;
  /** Send a descriptor with SCM_RIGHTS, and `text` with it. */
  sendDescriptor(socket: Descriptor, descriptor: Descriptor, text: string): void;
  /** A unix datagram socket without a name, for {@link bindNotify}. */
  notifySocket(): Descriptor;
  /** Give it its name, in a directory of ours: any user who reaches that can send to it. */
  bindNotify(socket: Descriptor, path: string): void;
  /** A datagram socket that is connected to `address`: a path of any length, or `@` and a name in the abstract namespace. */
  connectNotify(address: string): Descriptor;
  /** Wait until somebody sends READY=1 to the socket, the process has ended (-1 for one that is gone), or a signal has come that is held. */
  awaitReady(socket: Descriptor, pidfd: Descriptor): Promise<'ready' | 'exit' | 'signal'>;
  /** Send a text to a socket of {@link connectNotify}, and wait up to `timeout` milliseconds until it has been read. */
  tellReady(caller: Descriptor, text: string, timeout: number): Promise<void>;
  /**
   * Carry out a plan, in the form of `src/plan/encode.ts`, up to the birth of the container's process, which then goes on by itself to its first waiting point. Rejects with a
   * {@link LaunchError}; then nothing of the process is left.
   */
  launch(plan: readonly WireValue[], descriptors: LaunchDescriptors): Promise<Launched>;
  /**
   * Resolves when it waits there. On the way it gets its network devices, and `agent` the listener of its filter if that is loaded; so in the functions
   * that follow. Rejects with a {@link LaunchError}; then the process is gone.
   */
  settle(launched: Launched, agent?: SeccompAgent): Promise<WaitingPoint>;
  /**
   * From `hooks`: to `ready`, and the promise tells so. From `ready` with a start socket: let it wait there, and close `sync`. From `ready`
   * without: run the program; resolves when execve(2) has succeeded. Rejects with a {@link LaunchError}; then the process is gone.
   */
  proceed(launched: Launched, from: WaitingPoint, agent?: SeccompAgent): Promise<void>;
  /** For a plan without a waiting point: resolves when execve(2) has succeeded, and closes `sync`. Rejects with a {@link LaunchError}; then the process is gone. */
  awaitExecution(launched: Launched, agent?: SeccompAgent): Promise<void>;
  /** Carry out a plan that makes no process: `cgroup-device-program` is all that there may be. */
  amend(plan: readonly WireValue[]): void;
  /** SIGKILL a launched process, reap it and close its descriptors; network devices that it got go back where they were, unless it was ready. */
  abandon(launched: Launched): Promise<void>;
  /** Is a process waiting for `start` behind this socket? */
  awaitsStart(socket: string): boolean;
  /** Tell it to run the program; resolves when execve(2) has succeeded. `pidfd`: the process's, if there is an agent. Rejects with a {@link LaunchError}. */
  start(socket: string, agent?: SeccompAgent, pidfd?: Descriptor): Promise<void>;

  /** Those of the names that no system call has, as far as the libseccomp knows that compiles profiles. */
  unknownSystemCalls(names: readonly string[]): string[];

  // --- processes ----------------------------------------------------------------------------------------------------------------------------

  /** The process with this pid and start time: its pidfd; undefined if it is gone, is a zombie or another has its pid. */
  openProcess(pid: number, startTime: bigint): Descriptor | undefined;
  /** pidfd_send_signal(2); false if it is gone. */
  signal(pidfd: Descriptor, signal: number): boolean;
  /**
   * Wait on a pidfd in the event loop, up to `timeout` milliseconds (-1: no limit). A child is reaped. The status is known for a child, and
   * for any process on Linux 6.15 and later; otherwise `'unknown'`. `undefined` when the time is over.
   */
  waitExit(pidfd: Descriptor, timeout: number): Promise<ExitStatus | 'unknown' | undefined>;
  /** A descriptor that hears of the want of memory in a cgroup of this version, for {@link waitEvent}. */
  watchMemory(directory: string, version: 1 | 2): Descriptor;
  /**
   * Wait for what comes first: a want of memory, the end of the process, the other end of `cancel` being closed, or `timeout` milliseconds. What
   * the watch has heard is told before all else, and once.
   */
  waitEvent(sources: EventSources, timeout: number): Promise<WaitedEvent>;
  /** Signal every process in the cgroup directories and below, each once, through pidfds checked against cgroup.procs; how many there were. */
  signalCgroup(directories: readonly string[], signal: number): number;
  /**
   * Remove cgroups with what was made below them, then each parent that `cgroup-make` marked, while empty. EBUSY is retried up to `timeout` ms for
   * all together. All are tried; of several failures one that is neither EBUSY nor ENOTEMPTY is thrown.
   */
  removeCgroups(cgroups: readonly CgroupName[], timeout: number): Promise<void>;
  /** Run a program on the host and wait for it: hooks, ps. Output is kept up to 64 KiB each. */
  run(command: Command): Promise<CommandResult>;
  /**
   * Stand in front of a container: pass signals on, copy between this process's terminal and `console` (the master, or -1), pass window
   * sizes on, put the terminal into raw mode and back whatever happens; resolves when the process has exited. The first READY=1 that is said to its
   * socket of sd_notify(3) is said to the caller's.
   */
  foreground(pidfd: Descriptor, console: Descriptor, notify?: Notify): Promise<ExitStatus>;
  /** Characters of the first of this process's 0, 1 and 2 that is a terminal; undefined if none is, or if it does not know its size. */
  windowSize(): { readonly height: number; readonly width: number } | undefined;
  /**
   * From now on the signals that {@link foreground} passes on are kept for it, and do not end this process in the middle of its work; one that
   * asks for an end also ends what {@link run} runs. For a process that does one thing only, the command.
   */
  holdSignals(): void;
  /** The first of SIGHUP, SIGINT, SIGQUIT and SIGTERM that came since {@link holdSignals}, by number; 0 for none. */
  interruption(): number;

  // --- trees whose contents are somebody else's --------------------------------------------------------------------------------------------

  /**
   * Remove a directory with all that is in it, or whatever else is there; nothing there is not an error. Follows no symbolic link and enters nothing that is mounted there:
   * EBUSY.
   */
  removeTree(path: string): Promise<void>;
  /**
   * fsync(2) of a directory and all that is in it, which does not wait for what others write. False, and nothing is done, if it has more than `most`
   * entries, or something that cannot be brought to the disk so: a link, a device.
   */
  syncTree(path: string, most: number): Promise<boolean>;
  /** Bytes of the files below a directory, those with several names counted once. */
  diskUsage(path: string): Promise<number>;
  /**
   * A file as overlayfs would show it of these directories, top to bottom, as text: symbolic links stay inside, and what is not UTF-8 is replaced.
   * undefined if nothing is there. Larger than `limit` bytes (default 1 MiB): EFBIG. Something else than a file: EISDIR, EINVAL.
   */
  readLayered(layers: readonly string[], path: string, limit?: number): string | undefined;
  /**
   * Copy a directory as overlayfs would show it of these, top to bottom, into an empty one, with everything: owners, times, hard links, extended
   * attributes, holes. The destination becomes like the directory itself. False if nothing is there; ENOTDIR.
   */
  copyLayered(layers: readonly string[], path: string, destination: string): Promise<boolean>;

  // --- a new layer -----------------------------------------------------------------------------------------------------------------------------

  /** SHA-256 of a text in UTF-8, in hexadecimal digits. */
  sha256(text: string): string;
  /** Begins to read what is different in an upper directory, to be told by {@link nextRecords}: a number, until {@link endNewLayer}. */
  beginNewLayer(options: NewLayerOptions): Promise<NewLayer>;
  /**
   * The next records (`src/layer/records.ts`), when they have been applied to the layer's directory; undefined at the end. Each directory comes before
   * its contents, in it first what is gone, names by their bytes. `config-unsupported` for what no layer can hold.
   */
  nextRecords(layer: NewLayer): Promise<Uint8Array | undefined>;
  /** Adds bytes to the archive. */
  writeArchive(layer: NewLayer, bytes: Uint8Array): Promise<void>;
  /** When all is in the directory and in the archive. */
  finishNewLayer(layer: NewLayer): Promise<FinishedLayer>;
  /** In any case, at the end. What is on the disk stays. */
  endNewLayer(layer: NewLayer): void;

  // --- containers in the background ---------------------------------------------------------------------------------------------------------

  /**
   * Doubles this process (fork(2)), so that the other can make a container and become its keeper. Returns undefined in the other, and in this one
   * what the other has told when it is done: '' if it has died before. A signal that came meanwhile is passed on to it. On Node, which cannot be
   * doubled, always undefined.
   */
  divide(): string | undefined;
  /** In the other process of {@link divide}: tells the first one, and ends. On Node it returns. */
  tell(text: string): void;
  /**
   * Has a container kept, by the orders of native/keeper/orders.hpp, with copies of these descriptors (-1 for none) under their own numbers. The other
   * process of {@link divide} becomes the keeper, which then tells `{"pid":…}`; on Node the keeper is a process that is nobody's child.
   */
  keep(orders: readonly string[], descriptors: readonly Descriptor[]): void;
  /**
   * Sits down in front of a container at its keeper's socket: copies standard input to it, if `input`, and its output to ours. Resolves with how the
   * container has ended; undefined if we have left before, because `keys` were typed or a signal asked for it. `pidfd`: of the process to which
   * signals are passed on, or -1. With a `terminal`, ours is in raw mode meanwhile.
   */
  attach(socket: string, pidfd: Descriptor, terminal: boolean, input: boolean, keys: string): Promise<ExitStatus | 'unknown' | undefined>;
  /** A log to be read; undefined if there is none. Symbolic links are not followed. */
  openLog(path: string): Descriptor | undefined;
  /** Whether that is the file at `path` still. */
  isFileAt(file: Descriptor, path: string): boolean;
  /** Whole lines from byte `offset` on, at most `limit` bytes of them, and where they end; none if there is no whole one yet. A longer one: EFBIG. */
  readLines(file: Descriptor, offset: bigint, limit: number): { readonly text: string; readonly next: bigint };
  /** Where the last `count` lines begin, or as many as were found. */
  lastLines(file: Descriptor, count: number): { readonly offset: bigint; readonly found: number };
  /** Path of the command strata, absolute. */
  ownCommand(): string;
  /** Executes a program in place of this one, with its environment and standard input, output and error: `args[0]` is its path. */
  become(args: readonly string[]): never;

  // --- output --------------------------------------------------------------------------------------------------------------------------------

  print(text: string): void;
  printError(text: string): void;
  /** Append to a log file, made with mode 0600 if missing. */
  appendFile(path: string, text: string): void;
}

/** The rejection of launch, settle, proceed and start. Lifecycle turns it into a StrataError with the pointer of the operation that failed. */
export class LaunchError extends Error {
  override readonly name = 'LaunchError';
  readonly failure: LaunchFailure;
  constructor(failure: LaunchFailure) {
    super(`${failure.syscall} ${failure.path}: errno ${failure.errno}`);
    this.failure = failure;
  }
}
