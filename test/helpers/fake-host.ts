/**
 * A machine in memory, and hosts that are processes on it: the lifecycle is tested without root, and can be killed at any call it makes.
 * The machine knows files, locks, cgroups and container processes; a plan is carried out by decoding its values.
 */
import { createHash } from 'node:crypto';
import { StrataError, withFields } from '../../src/base/error.ts';
import type {
  CgroupName,
  Command,
  CommandResult,
  DeviceStatus,
  ExitStatus,
  FileStatus,
  FinishedLayer,
  Host,
  LaunchDescriptors,
  Launched,
  LaunchFailure,
  NewLayer,
  NewLayerOptions,
  Packet,
  SeccompAgent,
  WaitedEvent,
  WaitingPoint,
  WireValue,
} from '../../src/host/host.ts';
import { LaunchError } from '../../src/host/host.ts';
import { decode } from '../unit/plan/_decode.ts';
import type { FakeCriu } from './fake-criu.ts';
import type { FakeSystemd } from './fake-systemd.ts';

/** Thrown by the call at which a host is killed, and by all later ones. */
export class Killed extends Error {
  override readonly name = 'Killed';
}

interface Node {
  readonly type: FileStatus['type'];
  mode: number;
  uid: number;
  text: string;
  /** Of SELinux. */
  label?: string;
  /** Made by `cgroup-make`. */
  marked?: boolean;
}

interface Process {
  readonly pid: number;
  readonly startTime: bigint;
  cgroups: ReadonlySet<string>;
  readonly plan: readonly Decoded[];
  at: number;
  phase: 'hooks' | 'ready' | 'waiting' | 'running' | 'dead';
  /** The start socket's path, '' when the launcher says go. */
  readonly socket: string;
  parent: FakeHost | undefined;
  exit?: ExitStatus;
  /** Survives SIGKILL, like a process that waits for a device. */
  immortal?: boolean;
}

/** An operation as read back. */
export type Decoded = { readonly op: string } & Readonly<Record<string, unknown>>;

interface OpenFile {
  readonly kind: string;
  readonly path?: string;
  readonly process?: Process;
}

const CGROUPS = '/sys/fs/cgroup';
/** Host paths of the hierarchies of the machine. */
export const HIERARCHIES = [`${CGROUPS}/memory`, `${CGROUPS}/freezer`, `${CGROUPS}/unified`] as const;

export class FakeMachine {
  readonly nodes = new Map<string, Node>();
  /** Device nodes by path. */
  readonly devices = new Map<string, DeviceStatus>();
  readonly locks = new Map<string, { readonly host: FakeHost; readonly descriptor: number }>();
  /** Locks that many can hold. */
  readonly sharedLocks: { readonly host: FakeHost; readonly descriptor: number; readonly path: string }[] = [];
  readonly processes: Process[] = [];
  /** What happened, in order: hooks, signals, programs. */
  readonly events: string[] = [];
  /** Makes the operation of this name fail, when its field values include `value`. */
  failure: { readonly op: string; readonly failure: Partial<LaunchFailure>; readonly value?: string } | undefined;
  /** How programs run by the host end, by path; the others succeed. */
  readonly commands = new Map<string, Partial<CommandResult>>();
  /** What the foreground process exits with. */
  foregroundExit: ExitStatus = { code: 0 };
  /** The errno with which a file refuses what is written to it, undefined if it takes it. */
  readonly refusals = new Map<string, (text: string, machine: FakeMachine) => number | undefined>();
  /** Cgroups that have a program for devices of ours. */
  readonly programs = new Set<string>();
  /** What is behind the sockets of D-Bus. */
  systemd: FakeSystemd | undefined;
  /** What is behind the socket of a CRIU: its answers, one after the other. */
  criu: FakeCriu | undefined;
  /** What comes from standard input. */
  input = '';
  /** What waiting for an event answers, in order; then the container's process exits. */
  readonly waited: WaitedEvent[] = [];
  /** What waiting for the program's readiness answers, in order; then it is ready, unless it has ended. */
  readonly heard: ('ready' | 'exit' | 'signal')[] = [];
  /** Orders of the keepers that were started. */
  readonly kept: (readonly string[])[] = [];
  uid = 0;
  clock = 1000;
  /** What the next random digits are. */
  random = 1;
  private nextPid = 100;

  constructor() {
    for (const path of ['/', '/run', '/proc', '/tmp', '/work', '/etc', CGROUPS, ...HIERARCHIES]) this.directory(path);
    this.become(0);
    this.file('/proc/self/uid_map', '         0          0 4294967295\n');
    this.file('/proc/self/stat', '4242 (strata) R 1');
    this.file('/proc/sys/kernel/osrelease', '6.18.0\n');
    this.file('/proc/sys/kernel/cap_last_cap', '40\n');
    this.file('/proc/self/cgroup', '3:memory:/\n2:freezer:/\n0::/\n');
    const mounts = [
      `30 1 0:30 / ${HIERARCHIES[0]} rw - cgroup cgroup rw,memory`,
      `31 1 0:31 / ${HIERARCHIES[1]} rw - cgroup cgroup rw,freezer`,
      `32 1 0:32 / ${HIERARCHIES[2]} rw - cgroup2 cgroup2 rw`,
    ];
    this.file('/proc/self/mountinfo', `${mounts.join('\n')}\n`);
    this.file(`${HIERARCHIES[2]}/cgroup.controllers`, 'hugetlb\n');
    this.file('/etc/passwd', 'root:x:0:0::/root:/bin/sh\nkim:x:1000:1000::/home/kim:/bin/sh\n');
    this.bundle('/bundle', {});
  }

  /** From now on this user runs the commands. What there is stays root's. */
  become(uid: number): void {
    const all = '000001ffffffffff';
    const held = uid === 0 ? all : '0000000000000000';
    const ids = `${uid}\t${uid}\t${uid}\t${uid}`;
    this.file('/proc/self/status', `Name:\tstrata\nUid:\t${ids}\nGid:\t${ids}\nCapPrm:\t${held}\nCapBnd:\t${all}\nCapEff:\t${held}\n`);
    this.uid = uid;
  }

  directory(path: string, mode = 0o755): void {
    const parts = path.split('/').filter((part) => part !== '');
    for (let count = 0; count <= parts.length; count++) {
      const name = `/${parts.slice(0, count).join('/')}`;
      if (!this.nodes.has(name)) this.nodes.set(name, { type: 'directory', mode, uid: this.uid, text: '' });
    }
  }

  file(path: string, text: string): void {
    this.directory(path.slice(0, path.lastIndexOf('/')) || '/');
    this.nodes.set(path, { type: 'file', mode: 0o644, uid: this.uid, text });
  }

  /** A bundle with a root file system; `changes` are merged into a small configuration, key by key. */
  bundle(path: string, changes: Readonly<Record<string, unknown>>): void {
    this.directory(`${path}/rootfs`);
    this.file(`${path}/config.json`, JSON.stringify({ ...smallConfig(), ...changes }));
  }

  text(path: string): string | undefined {
    return this.nodes.get(path)?.text;
  }

  children(path: string): string[] {
    const prefix = path === '/' ? '/' : `${path}/`;
    const names: string[] = [];
    for (const name of this.nodes.keys()) {
      if (name !== path && name.startsWith(prefix) && !name.slice(prefix.length).includes('/')) names.push(name.slice(prefix.length));
    }
    return names.sort();
  }

  members(directory: string): Process[] {
    return this.processes.filter((process) => process.phase !== 'dead' && process.cgroups.has(directory));
  }

  /** Everything that a container leaves: cgroups, processes, states. */
  leftovers(root = '/run/strata'): string[] {
    const found = this.processes.filter(({ phase }) => phase !== 'dead').map(({ pid, phase }) => `process ${pid} (${phase})`);
    for (const hierarchy of HIERARCHIES) {
      for (const [name, node] of this.nodes) if (name.startsWith(`${hierarchy}/`) && node.type === 'directory') found.push(name);
    }
    if (this.nodes.has(root)) for (const name of this.children(root)) if (!name.startsWith('@')) found.push(`${root}/${name}`);
    return found;
  }

  die(process: Process, exit: ExitStatus): void {
    if (process.phase === 'dead' || process.immortal === true) return;
    process.phase = 'dead';
    process.exit = exit;
  }

  spawn(fields: Pick<Process, 'cgroups' | 'plan' | 'socket' | 'parent'>): Process {
    const pid = this.nextPid++;
    const process: Process = { ...fields, pid, startTime: BigInt(pid) * 10n, at: 0, phase: 'ready' };
    this.processes.push(process);
    return process;
  }

  frozen(process: Process): boolean {
    for (const directory of process.cgroups) if ((this.text(`${directory}/freezer.state`) ?? 'THAWED').startsWith('FROZEN')) return true;
    return false;
  }
}

function cgroupLines(directories: ReadonlySet<string>): string {
  const lines = HIERARCHIES.map((hierarchy, index) => {
    const own = [...directories].find((directory) => directory.startsWith(`${hierarchy}/`))?.slice(hierarchy.length) ?? '/';
    return `${index + 1}:${hierarchy.slice(CGROUPS.length + 1).replace('unified', '')}:${own}`;
  });
  return `${lines.join('\n')}\n`;
}

/** A configuration with a pid namespace of its own, and nothing that the checks could dislike. */
export function smallConfig(): Record<string, unknown> {
  return {
    ociVersion: '1.3.0',
    root: { path: 'rootfs' },
    process: { args: ['/bin/true'], cwd: '/', user: { uid: 0, gid: 0 }, env: ['PATH=/bin'] },
    mounts: [],
    linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }] },
  };
}

/** One process that runs strata. */
export class FakeHost implements Host {
  readonly kind = 'node';
  readonly machine: FakeMachine;
  readonly printed: string[] = [];
  readonly complained: string[] = [];
  readonly inherited = new Set<number>([0, 1, 2]);
  readonly variables = new Map<string, string>();
  readonly open = new Map<number, OpenFile>();
  /** How many calls have been made; the call with the number `killAt` kills. */
  calls = 0;
  private readonly killAt: number;
  private dead = false;
  private nextDescriptor = 10;

  constructor(machine: FakeMachine, killAt = Number.POSITIVE_INFINITY) {
    this.machine = machine;
    this.killAt = killAt;
  }

  /** A point at which the process can be killed: its locks go, and what hangs on it follows. */
  private step(): void {
    if (this.dead) throw new Killed();
    this.calls++;
    if (this.calls < this.killAt) return;
    this.dead = true;
    for (const [path, { host }] of this.machine.locks) if (host === this) this.machine.locks.delete(path);
    this.unshare(({ host }) => host === this);
    for (const process of this.machine.processes) {
      if (process.parent === this && (process.phase === 'hooks' || process.phase === 'ready')) this.machine.die(process, { code: 137, signal: 9 });
    }
    throw new Killed();
  }

  private unshare(isTo: (lock: FakeMachine['sharedLocks'][number]) => boolean): void {
    const kept = this.machine.sharedLocks.filter((lock) => !isTo(lock));
    this.machine.sharedLocks.splice(0, this.machine.sharedLocks.length, ...kept);
  }

  private node(path: string, syscall: string): Node {
    const node = this.machine.nodes.get(path);
    if (node === undefined) throw refused(syscall, 2, path);
    return node;
  }

  private descriptor(file: OpenFile): number {
    const descriptor = this.nextDescriptor++;
    this.open.set(descriptor, file);
    return descriptor;
  }

  readText(path: string, limit = 1024 * 1024): string {
    this.step();
    const slash = path.lastIndexOf('/');
    const [directory, name] = [path.slice(0, slash), path.slice(slash + 1)];
    if (path.startsWith(`${CGROUPS}/`) && this.machine.nodes.get(directory)?.type === 'directory') {
      if (name === 'cgroup.procs')
        return this.machine
          .members(directory)
          .map(({ pid }) => `${pid}\n`)
          .join('');
      if (name === 'freezer.state') return `${this.machine.text(path) ?? 'THAWED'}\n`;
    }
    const pid = /^\/proc\/(\d+)\/stat$/.exec(path)?.[1];
    const process = this.machine.processes.find((one) => String(one.pid) === pid && one.phase !== 'dead');
    if (process !== undefined) return `${pid} (a) b) S 1 1 1 0 -1 ${process.exit === undefined ? 0 : 4} ${'0 '.repeat(12)}${process.startTime} 0`;
    const [, known, file] = /^\/proc\/(\d+)\/(cgroup|mountinfo)$/.exec(path) ?? [];
    const shown = this.machine.processes.find((one) => String(one.pid) === known && one.phase !== 'dead');
    if (shown !== undefined && !this.machine.nodes.has(path)) return file === 'cgroup' ? cgroupLines(shown.cgroups) : '';
    const { type, text } = this.node(path, 'open');
    if (type === 'directory') throw refused('read', 21, path);
    if (text.length > limit) throw refused('read', 27, path);
    return text;
  }

  readAll(): string {
    this.step();
    return this.machine.input;
  }

  writeText(path: string, text: string): void {
    this.step();
    const refusal = this.machine.refusals.get(path)?.(text, this.machine);
    if (refusal !== undefined) throw refused('write', refusal, path);
    const directory = path.slice(0, path.lastIndexOf('/'));
    this.node(directory, 'open');
    if (path.endsWith('/cgroup.procs')) {
      for (const process of this.machine.processes) if (String(process.pid) === text) process.cgroups = new Set([directory]);
      return;
    }
    this.machine.nodes.set(path, { type: 'file', mode: 0o644, uid: 0, text });
    if (path.endsWith('/freezer.state') && text === 'THAWED') {
      for (const process of this.machine.members(directory)) if (process.exit !== undefined) this.machine.die(process, process.exit);
    }
  }

  createFile(path: string, text: string, mode: number): void {
    this.step();
    this.node(path.slice(0, path.lastIndexOf('/')) || '/', 'open');
    if (this.machine.nodes.has(path)) throw refused('open', 17, path);
    this.machine.nodes.set(path, { type: 'file', mode, uid: this.machine.uid, text });
  }

  replaceFile(path: string, text: string, mode: number): void {
    this.step();
    this.node(path.slice(0, path.lastIndexOf('/')) || '/', 'open');
    this.machine.nodes.set(`${path}.tmp`, { type: 'file', mode, uid: this.machine.uid, text });
    this.step();
    this.machine.nodes.delete(`${path}.tmp`);
    this.machine.nodes.set(path, { type: 'file', mode, uid: this.machine.uid, text });
  }

  stat(path: string): FileStatus | undefined {
    this.step();
    const node = this.machine.nodes.get(path);
    return node && { type: node.type, mode: node.mode, uid: node.uid, size: node.text.length };
  }

  device(path: string): DeviceStatus | undefined {
    this.step();
    return this.machine.devices.get(path);
  }

  list(path: string): string[] {
    this.step();
    this.node(path, 'open');
    return this.machine.children(path);
  }

  makeDirectory(path: string, mode: number): void {
    this.step();
    if (this.machine.nodes.has(path)) throw refused('mkdir', 17, path);
    this.machine.directory(path, mode);
  }

  makeDirectories(path: string, mode: number): void {
    this.step();
    this.machine.directory(path, mode);
  }

  makeDirectoryLike(path: string, like: string): void {
    this.step();
    this.machine.directory(path, this.node(like, 'open').mode);
  }

  setLabel(path: string, label: string): void {
    this.step();
    this.node(path, 'setxattr').label = label;
  }

  /** The machine has no links: it is a file with the target in it. */
  makeLink(target: string, path: string): void {
    this.step();
    if (this.machine.nodes.has(path)) throw refused('symlink', 17, path);
    this.machine.file(path, target);
  }

  removeFile(path: string): void {
    this.step();
    this.machine.nodes.delete(path);
  }

  removeDirectory(path: string): void {
    this.step();
    this.node(path, 'rmdir');
    if (this.machine.children(path).length > 0) throw refused('rmdir', 39, path);
    this.machine.nodes.delete(path);
  }

  async changes(upper: string): Promise<readonly string[]> {
    this.step();
    return this.machine.children(upper).map((name) => `A/${name}`);
  }

  setGroup(path: string): void {
    this.step();
    this.node(path, 'chown');
  }

  openFile(path: string): number {
    this.step();
    this.node(path.replace(/^\/proc\/\d+\/root(?=\/)/, ''), 'open');
    return this.descriptor({ kind: 'file', path });
  }

  realPath(path: string): string {
    this.step();
    const clean = `/${path
      .split('/')
      .filter((part) => part !== '' && part !== '.')
      .join('/')}`;
    this.node(clean, 'realpath');
    return clean;
  }

  workingDirectory(): string {
    return '/work';
  }

  environment(name: string): string | undefined {
    return this.variables.get(name);
  }

  userId(): number {
    return this.machine.uid;
  }

  now(): number {
    return this.machine.clock;
  }

  timestamp(): string {
    return '2026-01-02T03:04:05.678901234Z';
  }

  async sleep(milliseconds: number): Promise<void> {
    this.step();
    this.machine.clock += milliseconds;
    await new Promise((resolve) => setImmediate(resolve));
  }

  tryLock(directory: string): number | undefined {
    this.step();
    if (!this.machine.nodes.has(directory) || this.machine.locks.has(directory)) return undefined;
    if (this.machine.sharedLocks.some(({ path }) => path === directory)) return undefined;
    const descriptor = this.descriptor({ kind: 'lock', path: directory });
    this.machine.locks.set(directory, { host: this, descriptor });
    return descriptor;
  }

  lock(directory: string, shared: boolean): number | undefined {
    if (!shared) return this.tryLock(directory);
    this.step();
    if (!this.machine.nodes.has(directory) || this.machine.locks.has(directory)) return undefined;
    const descriptor = this.descriptor({ kind: 'shared', path: directory });
    this.machine.sharedLocks.push({ host: this, descriptor, path: directory });
    return descriptor;
  }

  rename(from: string, to: string, replace: boolean): void {
    this.step();
    this.node(from, 'rename');
    this.node(to.slice(0, to.lastIndexOf('/')) || '/', 'rename');
    if (!replace && this.machine.nodes.has(to)) throw refused('rename', 17, to);
    for (const [name, node] of [...this.machine.nodes]) {
      if (name !== from && !name.startsWith(`${from}/`)) continue;
      this.machine.nodes.delete(name);
      this.machine.nodes.set(to + name.slice(from.length), node);
    }
    // A lock is on the directory, whatever it is called.
    const lock = this.machine.locks.get(from);
    if (lock === undefined) return;
    this.machine.locks.delete(from);
    this.machine.locks.set(to, lock);
    lock.host.open.set(lock.descriptor, { kind: 'lock', path: to });
  }

  async syncFile(path: string): Promise<void> {
    await Promise.resolve();
    this.step();
    this.node(path, 'open');
  }

  async syncFileSystem(path: string): Promise<void> {
    await this.syncFile(path);
  }

  randomDigits(bytes: number): string {
    return String(this.machine.random++).padStart(2 * bytes, '0');
  }

  close(descriptor: number): void {
    if (this.dead) throw new Killed();
    const file = this.open.get(descriptor);
    if (file === undefined) throw new Error(`descriptor ${descriptor} is not open`);
    this.open.delete(descriptor);
    if (file.kind === 'shared') this.unshare((lock) => lock.host === this && lock.descriptor === descriptor);
    if (file.kind === 'lock' && file.path !== undefined) this.machine.locks.delete(file.path);
  }

  isInherited(descriptor: number): boolean {
    return this.inherited.has(descriptor);
  }

  listen(path: string): number {
    this.step();
    this.machine.nodes.set(path, { type: 'socket', mode: 0o600, uid: 0, text: '' });
    return this.descriptor({ kind: 'listener', path });
  }

  connect(path: string): number {
    this.step();
    if (this.node(path, 'connect').type !== 'socket') throw refused('connect', 111, path);
    this.machine.systemd?.accept();
    return this.descriptor({ kind: 'connection', path });
  }

  socketPair(): [number, number] {
    this.step();
    return [this.descriptor({ kind: 'socket' }), this.descriptor({ kind: 'socket' })];
  }

  packetPair(): [number, number] {
    return this.socketPair();
  }

  pipe(): [number, number] {
    this.step();
    return [this.descriptor({ kind: 'pipe' }), this.descriptor({ kind: 'pipe' })];
  }

  async receiveDescriptor(): Promise<number> {
    this.step();
    return this.descriptor({ kind: 'master' });
  }

  amend(plan: readonly WireValue[]): void {
    this.step();
    for (const { op, path } of decode(plan) as readonly Decoded[]) {
      if (op === 'cgroup-device-program' && !this.machine.programs.has(String(path))) throw refused('bpf', 2, String(path));
      const { failure } = this.machine;
      if (failure?.op === op)
        throw withFields(refused('bpf', failure.failure.errno ?? 22, String(path)), { reason: `bpf: ${failure.failure.detail}` });
      this.machine.events.push(`${op} ${path}`);
    }
  }

  async exchange(_socket: number, bytes: string): Promise<string | undefined> {
    this.step();
    return this.machine.systemd?.exchange(bytes);
  }

  async exchangePacket(_socket: number, bytes: string, timeout: number): Promise<Packet | undefined> {
    this.step();
    const answer = this.machine.criu?.exchange(bytes, this);
    if (answer === undefined) this.machine.clock += timeout;
    return answer === undefined ? undefined : { bytes: answer, descriptor: -1 };
  }

  sendDescriptor(socket: number, descriptor: number, text: string): void {
    this.step();
    const pid = this.open.get(descriptor)?.process?.pid;
    this.machine.events.push(`${text} pidfd of ${pid} to ${this.open.get(socket)?.path}`);
  }

  notifySocket(): number {
    this.step();
    return this.descriptor({ kind: 'notify' });
  }

  bindNotify(_socket: number, path: string): void {
    this.step();
    this.node(path.slice(0, path.lastIndexOf('/')), 'bind');
    this.machine.nodes.set(path, { type: 'socket', mode: 0o666, uid: 0, text: '' });
  }

  connectNotify(address: string): number {
    this.step();
    if (address.startsWith('/')) this.node(address, 'connect');
    return this.descriptor({ kind: 'connection', path: address });
  }

  async awaitReady(_socket: number, pidfd: number): Promise<'ready' | 'exit' | 'signal'> {
    await Promise.resolve();
    this.step();
    return this.machine.heard.shift() ?? (pidfd === -1 ? 'exit' : 'ready');
  }

  async tellReady(caller: number, text: string): Promise<void> {
    await Promise.resolve();
    this.step();
    const path = this.open.get(caller)?.path ?? '';
    if (path.startsWith('/') && !this.machine.nodes.has(path)) throw refused('sendmsg', 111, path);
    this.machine.events.push(`tell ${path} ${text}`);
  }

  async launch(plan: readonly WireValue[], descriptors: LaunchDescriptors): Promise<Launched> {
    await Promise.resolve();
    this.step();
    const operations: readonly Decoded[] = decode(plan);
    const cgroups = new Set<string>();
    const clone = operations.findIndex(({ op }) => op === 'clone' || op === 'enter');
    for (const [index, operation] of operations.slice(0, clone).entries()) {
      this.step();
      this.fail(operation, index);
      if (operation.op === 'cgroup-make') cgroups.add(this.makeCgroup(operation, index));
      if (operation.op === 'rdt-make') this.makeRdtGroup(operation, index);
    }
    this.step();
    const entry = operations[clone] ?? { op: '' };
    this.fail(entry, clone);
    if (entry.op === 'enter') {
      const first = this.machine.processes.find(
        ({ pid, startTime, phase }) => pid === entry.pid && startTime === entry.startTime && phase !== 'dead',
      );
      if (first === undefined) throw new LaunchError({ operation: clone, syscall: 'pidfd_open', errno: 3, path: '', detail: '' });
      for (const directory of first.cgroups) cgroups.add(directory);
    }
    const socket = this.open.get(descriptors.start)?.path ?? '';
    const process = this.machine.spawn({ cgroups, plan: operations, socket, parent: this });
    process.at = clone + 1;
    const pidfd = this.descriptor({ kind: 'pidfd', process });
    const sync = this.descriptor({ kind: 'sync', process });
    const { pid, startTime } = process;
    return { pid, startTime, pidfd, sync };
  }

  async settle(launched: Launched, agent?: SeccompAgent): Promise<WaitingPoint> {
    await Promise.resolve();
    this.step();
    const process = this.open.get(launched.sync)?.process;
    if (process === undefined || process.phase === 'dead')
      throw new LaunchError({ operation: -1, syscall: 'init', errno: 0, path: '', detail: 'killed by signal 9' });
    this.carryOn(process, agent);
    return process.phase === 'hooks' ? 'hooks' : 'ready';
  }

  private makeCgroup(operation: Decoded, index: number): string {
    const path = `${String(operation.hierarchy)}${String(operation.path)}`;
    if (this.machine.nodes.has(path) && (this.machine.members(path).length > 0 || this.machine.children(path).length > 0)) {
      throw new LaunchError({ operation: index, syscall: 'mkdir', errno: 17, path, detail: '' });
    }
    const parts = path.split('/').slice(1);
    for (let count = 1; count <= parts.length; count++) {
      const name = `/${parts.slice(0, count).join('/')}`;
      if (this.machine.nodes.has(name)) continue;
      this.step();
      this.machine.nodes.set(name, { type: 'directory', mode: 0o755, uid: 0, text: '' });
      this.step();
      this.machine.nodes.set(name, { type: 'directory', mode: 0o755, uid: 0, text: '', marked: true });
    }
    return path;
  }

  private makeRdtGroup(operation: Decoded, index: number): void {
    const path = String(operation.path);
    if (this.machine.nodes.has(path) && !operation.shared) {
      throw new LaunchError({ operation: index, syscall: 'mkdir', errno: 17, path, detail: '' });
    }
    this.machine.directory(path);
  }

  private fail(operation: Decoded, index: number): void {
    const { failure } = this.machine;
    if (failure?.op !== operation.op || (failure.value !== undefined && !Object.values(operation).includes(failure.value))) return;
    throw new LaunchError({ operation: index, syscall: 'call', errno: 22, path: '', detail: '', ...failure.failure });
  }

  /** Carries a process's operations out up to its next stop. */
  private carryOn(process: Process, agent?: SeccompAgent): void {
    for (; process.at < process.plan.length; process.at++) {
      const operation = process.plan[process.at] ?? { op: '' };
      try {
        this.fail(operation, process.at);
      } catch (error) {
        this.machine.die(process, { code: 1 });
        throw error;
      }
      if (operation.op === 'seccomp-load' && agent !== undefined) this.machine.events.push(`agent ${agent.path} ${agent.state}`);
      if (operation.op === 'hook') this.machine.events.push(`${String(operation.kind)} ${String(operation.path)}`);
      if (operation.op === 'runtime-hooks' || operation.op === 'ready') {
        process.phase = operation.op === 'ready' ? 'ready' : 'hooks';
        process.at++;
        return;
      }
    }
    // CRIU sees that its socket is closed when strata dies, and follows.
    const isCriu = process.plan.some(({ op, args }) => op === 'exec' && Array.isArray(args) && args[1] === 'swrk');
    process.phase = isCriu ? 'ready' : 'running';
    if (isCriu) return;
    this.machine.events.push(`program ${process.pid}`);
  }

  async proceed(launched: Launched, from: WaitingPoint, agent?: SeccompAgent): Promise<void> {
    await Promise.resolve();
    this.step();
    const process = this.open.get(launched.sync)?.process;
    if (process === undefined || process.phase === 'dead')
      throw new LaunchError({ operation: -1, syscall: 'init', errno: 0, path: '', detail: 'killed by signal 9' });
    if (process.phase !== from) throw new Error(`proceed from ${from}, but the process is at ${process.phase}`);
    if (process.phase === 'hooks') return this.carryOn(process, agent);
    if (process.socket === '') this.carryOn(process, agent);
    else process.phase = 'waiting';
    this.close(launched.sync);
    return undefined;
  }

  async awaitExecution(launched: Launched, agent?: SeccompAgent): Promise<void> {
    await Promise.resolve();
    this.step();
    const process = this.open.get(launched.sync)?.process;
    this.close(launched.sync);
    if (process === undefined || process.phase === 'dead')
      throw new LaunchError({ operation: -1, syscall: 'init', errno: 0, path: '', detail: 'killed by signal 9' });
    this.carryOn(process, agent);
  }

  async abandon(launched: Launched): Promise<void> {
    await Promise.resolve();
    this.step();
    const process = this.open.get(launched.pidfd)?.process;
    if (process !== undefined) this.machine.die(process, { code: 137, signal: 9 });
    if (this.open.has(launched.sync)) this.close(launched.sync);
    this.close(launched.pidfd);
  }

  unknownSystemCalls(names: readonly string[]): string[] {
    return names.filter((name) => name.startsWith('no_'));
  }

  awaitsStart(socket: string): boolean {
    this.step();
    return this.waiting(socket) !== undefined;
  }

  async start(socket: string, agent?: SeccompAgent): Promise<void> {
    await Promise.resolve();
    this.step();
    const process = this.waiting(socket);
    if (process === undefined) throw new LaunchError({ operation: -1, syscall: 'connect', errno: 111, path: socket, detail: '' });
    this.carryOn(process, agent);
    this.step();
  }

  private waiting(socket: string): Process | undefined {
    if (!this.machine.nodes.has(socket)) return undefined;
    return this.machine.processes.find((process) => process.socket === socket && process.phase === 'waiting');
  }

  openProcess(pid: number, startTime: bigint): number | undefined {
    this.step();
    const process = this.machine.processes.find((one) => one.pid === pid && one.startTime === startTime && one.phase !== 'dead');
    return process && this.descriptor({ kind: 'pidfd', process });
  }

  signal(pidfd: number, signal: number): boolean {
    this.step();
    const process = this.open.get(pidfd)?.process;
    if (process === undefined || process.phase === 'dead') return false;
    this.send(process, signal);
    return true;
  }

  private send(process: Process, signal: number): void {
    this.machine.events.push(`signal ${signal} to ${process.pid}`);
    if (signal !== 9) return;
    // A process that is frozen on cgroup v1 dies when it is thawed.
    if (this.machine.frozen(process)) process.exit = { code: 137, signal: 9 };
    else this.machine.die(process, { code: 137, signal: 9 });
  }

  async waitExit(pidfd: number, timeout: number): Promise<ExitStatus | 'unknown' | undefined> {
    this.step();
    const process = this.open.get(pidfd)?.process;
    const end = this.now() + timeout;
    while (process?.phase !== 'dead') {
      if (timeout >= 0 && this.now() >= end) return undefined;
      await this.sleep(10);
    }
    return process.exit ?? 'unknown';
  }

  watchMemory(directory: string): number {
    this.step();
    this.node(directory, 'open');
    return this.descriptor({ kind: 'memory', path: directory });
  }

  async waitEvent(): Promise<WaitedEvent> {
    await Promise.resolve();
    this.step();
    return this.machine.waited.shift() ?? 'exit';
  }

  signalCgroup(directories: readonly string[], signal: number): number {
    this.step();
    const found = new Set(directories.flatMap((directory) => this.machine.members(directory)));
    for (const process of found) this.send(process, signal);
    return found.size;
  }

  async removeCgroups(cgroups: readonly CgroupName[], timeout: number): Promise<void> {
    await Promise.resolve();
    let failure: unknown;
    for (const { hierarchy, path } of cgroups) {
      try {
        await this.removeCgroup(hierarchy, path, timeout);
      } catch (error) {
        if (!(error instanceof StrataError)) throw error;
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  private async removeCgroup(hierarchy: string, path: string, timeout: number): Promise<void> {
    this.step();
    const directory = `${hierarchy}${path}`;
    if (this.machine.members(directory).length > 0) {
      await this.sleep(timeout);
      if (this.machine.members(directory).length > 0) throw refused('rmdir', 16, directory);
    }
    for (const name of [...this.machine.nodes.keys()]) if (name === directory || name.startsWith(`${directory}/`)) this.machine.nodes.delete(name);
    for (let parent = directory.slice(0, directory.lastIndexOf('/')); parent !== hierarchy; parent = parent.slice(0, parent.lastIndexOf('/'))) {
      this.step();
      const node = this.machine.nodes.get(parent);
      if (node === undefined) continue;
      if (node.marked !== true || this.machine.children(parent).length > 0) break;
      this.machine.nodes.delete(parent);
    }
  }

  async run(command: Command): Promise<CommandResult> {
    await Promise.resolve();
    this.step();
    this.machine.events.push(`run ${command.path} ${command.stdin}`.trimEnd());
    const result = this.machine.commands.get(command.path);
    if (command.path === '/nope') throw refused('execve', 2, command.path);
    return { status: { code: 0 }, timedOut: false, stdout: '', stderr: '', ...result };
  }

  windowSize(): undefined {}

  holdSignals(): void {}

  interruption(): number {
    return 0;
  }

  async attach(): Promise<ExitStatus | 'unknown' | undefined> {
    await Promise.resolve();
    this.step();
    return this.machine.foregroundExit;
  }

  openLog(path: string): number | undefined {
    this.step();
    return this.machine.nodes.has(path) ? this.descriptor({ kind: 'log', path }) : undefined;
  }

  isFileAt(file: number, path: string): boolean {
    return this.open.get(file)?.path === path && this.machine.nodes.has(path);
  }

  /** Of text whose characters are bytes. */
  readLines(file: number, offset: bigint, limit: number): { readonly text: string; readonly next: bigint } {
    const rest = (this.machine.text(this.open.get(file)?.path ?? '') ?? '').slice(Number(offset), Number(offset) + limit);
    const text = rest.slice(0, rest.lastIndexOf('\n') + 1);
    return { text, next: offset + BigInt(text.length) };
  }

  lastLines(file: number, count: number): { readonly offset: bigint; readonly found: number } {
    const text = this.machine.text(this.open.get(file)?.path ?? '') ?? '';
    const lines = text.split('\n').slice(0, -1);
    const last = count === 0 ? [] : lines.slice(-count);
    return { offset: BigInt(text.length - last.join('\n').length - (last.length > 0 ? 1 : 0)), found: last.length };
  }

  divide(): undefined {}

  tell(): void {}

  keep(orders: readonly string[]): void {
    this.step();
    this.machine.kept.push(orders);
  }

  ownCommand(): string {
    return '/usr/bin/strata';
  }

  become(args: readonly string[]): never {
    this.machine.events.push(`become ${args.join(' ')}`);
    throw new Error('nothing of this process is left');
  }

  async foreground(pidfd: number): Promise<ExitStatus> {
    await Promise.resolve();
    this.step();
    const process = this.open.get(pidfd)?.process;
    if (process !== undefined) this.machine.die(process, this.machine.foregroundExit);
    return this.machine.foregroundExit;
  }

  async removeTree(path: string): Promise<void> {
    await Promise.resolve();
    this.step();
    for (const name of [...this.machine.nodes.keys()]) if (name === path || name.startsWith(`${path}/`)) this.machine.nodes.delete(name);
  }

  sha256(text: string): string {
    return createHash('sha256').update(text).digest('hex');
  }

  /** Its containers never write anything. */
  async beginNewLayer({ archive }: NewLayerOptions): Promise<NewLayer> {
    await Promise.resolve();
    this.step();
    this.machine.file(archive, '');
    return 1;
  }

  async nextRecords(): Promise<undefined> {
    await Promise.resolve();
    this.step();
  }

  async writeArchive(): Promise<void> {
    await Promise.resolve();
    this.step();
  }

  async finishNewLayer(): Promise<FinishedLayer> {
    await Promise.resolve();
    this.step();
    const digest = `sha256:${this.sha256('')}`;
    return { diffId: digest, digest, archiveSize: 0, sockets: 0, socket: '', attributes: 0, attribute: '' };
  }

  endNewLayer(): void {
    this.step();
  }

  async syncTree(path: string): Promise<boolean> {
    await this.syncFile(path);
    return true;
  }

  async diskUsage(path: string): Promise<number> {
    await Promise.resolve();
    this.step();
    this.node(path, 'open');
    let size = 0;
    for (const [name, node] of this.machine.nodes) if (name.startsWith(`${path}/`) && node.type === 'file') size += node.text.length;
    return size;
  }

  readLayered(layers: readonly string[], path: string): string | undefined {
    this.step();
    for (const layer of layers) {
      const node = this.machine.nodes.get(`${layer}/${path.replace(/^\/+/, '')}`);
      if (node !== undefined) return node.text;
    }
    return undefined;
  }

  async copyLayered(layers: readonly string[], path: string, destination: string): Promise<boolean> {
    await Promise.resolve();
    this.step();
    let found = false;
    for (const layer of layers.toReversed()) {
      const from = `${layer}/${path.replace(/^\/+/, '')}`.replace(/\/$/, '');
      found ||= this.machine.nodes.has(from);
      for (const [name, node] of [...this.machine.nodes]) {
        if (name.startsWith(`${from}/`)) this.machine.nodes.set(destination + name.slice(from.length), node);
      }
    }
    return found;
  }

  print(text: string): void {
    this.printed.push(text);
  }

  printError(text: string): void {
    this.complained.push(text);
  }

  appendFile(path: string, text: string): void {
    this.step();
    this.node(path.slice(0, path.lastIndexOf('/')) || '/', 'open');
    const before = this.machine.text(path) ?? '';
    this.machine.nodes.set(path, { type: 'file', mode: 0o600, uid: this.machine.uid, text: before + text });
  }
}

function refused(syscall: string, errno: number, path: string): StrataError {
  return new StrataError({ code: 'system', reason: `${syscall} ${path}`, syscall, errno, path });
}
