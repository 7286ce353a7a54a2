/**
 * Real containers for the integration suites: a {@link Workspace} for each test, with bundles, a state root and cgroups of its own, the command to run them
 * with, and a count of everything that is left on the machine afterwards. Needs root and busybox-static.
 *
 * Everything that a workspace makes carries its token in a name, and every command it runs has the token in its environment; so what is left can be told
 * from what others do on the machine at the same time.
 */
import { type ChildProcess, execFileSync, type StdioOptions, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { ContainerState } from '../../src/lifecycle/state.ts';
import { defaultSpec } from '../../src/spec/defaults.ts';

/** The command under test: the variable STRATA names another than that of the build. */
export const STRATA = resolve(process.env['STRATA'] ?? join(import.meta.dirname, '../../bin/strata'));
export const BUSYBOX = '/usr/bin/busybox';
/** Has this machine cgroup v2 only? */
export const CGROUP_V2 = fs.existsSync('/sys/fs/cgroup/cgroup.controllers');
/** Who makes the cgroups of containers that a test does not choose a place for: `systemd`, or strata itself. */
export const CGROUP_MANAGER = process.env['STRATA_CGROUP_MANAGER'] === 'systemd' ? 'systemd' : 'cgroupfs';
export const MANAGER_FLAGS: readonly string[] = CGROUP_MANAGER === 'systemd' ? ['--systemd-cgroup'] : [];
/** The host that the command runs on: `static` or `node`; '' for the one that it runs on when nobody says. */
export const HOST = process.env.STRATA_HOST ?? '';

/** Why containers cannot be run here; undefined if they can. */
export function whyNoContainers(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root to run containers';
  if (!fs.existsSync(BUSYBOX)) return `needs ${BUSYBOX} (Debian: busybox-static)`;
  return undefined;
}

/** A test that hangs is the fault; this only ends it, milliseconds. */
const HANGS = 120_000;
const MAX_TEXT = 64 * 1024 * 1024;

// --- configurations ----------------------------------------------------------------------------------------------------------------------------

export interface IdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

export interface MountConfig {
  destination: string;
  type?: string;
  source?: string;
  options?: string[];
  uidMappings?: IdMapping[];
  gidMappings?: IdMapping[];
}

export interface HookConfig {
  path: string;
  args?: string[];
  env?: string[];
  timeout?: number;
}

/** config.json as the tests write it: what they often change is typed, anything else can be put in too. `bigint` is written exactly. */
export interface Config {
  ociVersion: string;
  process: {
    terminal?: boolean;
    args: string[];
    env: string[];
    cwd: string;
    user: { uid: number; gid: number; umask?: number; additionalGids?: number[] };
    capabilities?: Partial<Record<'bounding' | 'effective' | 'inheritable' | 'permitted' | 'ambient', string[]>>;
    rlimits?: { type: string; soft: number | bigint; hard: number | bigint }[];
    noNewPrivileges?: boolean;
    [other: string]: unknown;
  };
  root: { path: string; readonly?: boolean };
  hostname?: string;
  domainname?: string;
  mounts: MountConfig[];
  hooks?: Partial<Record<'prestart' | 'createRuntime' | 'createContainer' | 'startContainer' | 'poststart' | 'poststop', HookConfig[]>>;
  annotations?: Record<string, string>;
  linux: {
    namespaces: { type: string; path?: string }[];
    uidMappings?: IdMapping[];
    gidMappings?: IdMapping[];
    cgroupsPath?: string;
    devices?: Record<string, unknown>[];
    resources: { devices?: Record<string, unknown>[]; memory?: Record<string, unknown>; cpu?: Record<string, unknown>; [other: string]: unknown };
    maskedPaths: string[];
    readonlyPaths: string[];
    sysctl?: Record<string, string>;
    seccomp?: Record<string, unknown>;
    [other: string]: unknown;
  };
  [other: string]: unknown;
}

/** Parts to put over a value: objects are merged, everything else is replaced, `undefined` removes. */
type Change<T> = T extends readonly unknown[] ? T : T extends object ? { [Key in keyof T]?: Change<T[Key]> | undefined } : T;

/** How a test changes a configuration: by parts to put over it, or in any other way. */
export type Edit = Change<Config> | ((config: Config) => void);

/** Makes a change that a test was given to make. */
export function apply(config: Config, edit: Edit): void {
  if (typeof edit === 'function') edit(config);
  else merge(config, edit as Record<string, unknown>);
}

function merge(target: Record<string, unknown>, change: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(change)) {
    const old = target[key];
    if (value === undefined) delete target[key];
    else if (isObject(value) && isObject(old)) merge(old, value);
    else target[key] = value;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON with `bigint` as plain digits. */
export function toJson(value: unknown): string {
  const text = JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `\u0001${item}\u0001` : item));
  return text.replace(/"\\u0001(-?\d+)\\u0001"/g, '$1');
}

/** Takes the namespaces of these types out of a configuration: the container then has its caller's. */
export function withoutNamespaces(config: Config, ...types: string[]): void {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => !types.includes(type));
}

/** Adds a namespace, or replaces the one of its type. */
export function withNamespace(config: Config, type: string, path?: string): void {
  withoutNamespaces(config, type);
  config.linux.namespaces.push(path === undefined ? { type } : { type, path });
}

/** Gives the container a user namespace whose ids from 0 on are those of the host from `first` on; see {@link Bundle.giveTo}. */
export function withUserNamespace(config: Config, first: number): void {
  withNamespace(config, 'user');
  config.linux.uidMappings = [{ containerID: 0, hostID: first, size: 65536 }];
  config.linux.gidMappings = [{ containerID: 0, hostID: first, size: 65536 }];
}

/** Gives the program every capability that there is to give. */
export function withAllCapabilities(config: Config): void {
  const all = CAPABILITIES.filter(hasCapability);
  config.process.capabilities = { bounding: all, effective: all, permitted: all };
}

/** capability.h, in the order of their numbers. */
export const CAPABILITIES = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW ' +
  'IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE ' +
  'AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
)
  .split(' ')
  .map((name) => `CAP_${name}`);

/** Whether this process has a capability: root has not every one on every machine. */
export function hasCapability(name: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> BigInt(CAPABILITIES.indexOf(name))) & 1n) === 1n;
}

// --- root file systems -------------------------------------------------------------------------------------------------------------------------

let applets: readonly string[] | undefined;

/** Fills `directory` with a small root file system: busybox with all its commands, /etc/passwd and group, and the usual empty directories. */
export function makeRootfs(directory: string): string {
  applets ??= execFileSync(BUSYBOX, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  for (const name of ['bin', 'dev', 'etc', 'home', 'proc', 'root', 'sys', 'tmp', 'usr/bin', 'var'])
    fs.mkdirSync(join(directory, name), { recursive: true });
  fs.chmodSync(directory, 0o755);
  fs.chmodSync(join(directory, 'tmp'), 0o1777);
  fs.copyFileSync(BUSYBOX, join(directory, 'bin/busybox'));
  for (const name of applets) if (name !== 'busybox') fs.symlinkSync('busybox', join(directory, 'bin', name));
  fs.writeFileSync(join(directory, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n');
  fs.writeFileSync(join(directory, 'etc/group'), 'root:x:0:\nuser:x:1000:\n');
  return directory;
}

// --- bundles -----------------------------------------------------------------------------------------------------------------------------------

export class Bundle {
  /** Absolute. */
  readonly directory: string;
  readonly rootfs: string;
  config: Config;

  constructor(directory: string, config: Config) {
    this.directory = directory;
    this.rootfs = join(directory, 'rootfs');
    this.config = config;
  }

  /** Changes the configuration and writes it. */
  edit(edit: Edit): this {
    apply(this.config, edit);
    this.write(toJson(this.config));
    return this;
  }

  /** Writes config.json as it is given. */
  write(text: string | Uint8Array): void {
    fs.writeFileSync(join(this.directory, 'config.json'), text);
  }

  /** Makes the whole root file system belong to this user and group of the host: the root of a user namespace. */
  giveTo(id: number): void {
    for (const name of ['', ...fs.readdirSync(this.rootfs, { recursive: true, encoding: 'utf8' })]) fs.lchownSync(join(this.rootfs, name), id, id);
  }

  /** Writes a file into the root file system, with the directories above it; gives back its path on the host. */
  file(path: string, text: string, mode = 0o644): string {
    const host = join(this.rootfs, path);
    fs.mkdirSync(dirname(host), { recursive: true });
    fs.writeFileSync(host, text);
    fs.chmodSync(host, mode);
    return host;
  }
}

// --- commands ----------------------------------------------------------------------------------------------------------------------------------

export interface CommandOptions {
  readonly cwd?: string;
  /** The whole environment, in place of the usual one with PATH only. */
  readonly env?: Readonly<Record<string, string>>;
  /** What the command reads; without it /dev/null. */
  readonly stdin?: string;
  /** Descriptors of this process that the command gets as 3, 4 and so on. */
  readonly descriptors?: readonly number[];
  /** A program with its arguments that is to execute the command: `['prlimit', '--nofile=64']`. */
  readonly through?: readonly string[];
  /** What to execute in place of the command: a copy of it. */
  readonly command?: string;
}

export interface Result {
  /** The exit status; -1 if a signal killed it. */
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs. */
export interface Running {
  readonly process: ChildProcess;
  readonly pid: number;
  /** What has been printed so far; a container that goes on running after the command prints here too. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly result: Promise<Result>;
}

// --- the workspace -----------------------------------------------------------------------------------------------------------------------------

let workspaces = 0;

export class Workspace {
  /** In the name of all that is made here; no other workspace's token contains it. */
  readonly token: string;
  /** A directory for the test to use; goes with the workspace. */
  readonly directory: string;
  /** What `--root` gets. */
  readonly root: string;
  private readonly fixedMounts: ReadonlySet<string>;
  private readonly helpers: ChildProcess[] = [];
  private readonly hostMounts: string[] = [];
  private readonly everMounted: string[] = [];
  private count = 0;

  constructor() {
    this.token = `st${process.pid}x${++workspaces}z`;
    this.directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), `${this.token}-`)));
    // Users of a container's user namespace have to pass through.
    fs.chmodSync(this.directory, 0o755);
    this.root = join(this.directory, 'state');
    this.fixedMounts = new Set(mounts().filter(isFixed));
  }

  /** A container id of this workspace. */
  id(name = 'c'): string {
    return `${name}${++this.count}.${this.token}`;
  }

  /** The path of a new file of this workspace. */
  path(name: string): string {
    return join(this.directory, `${++this.count}-${name}`);
  }

  /**
   * A new bundle: the configuration of `strata spec` without a terminal, with a writable root, a cgroup below `/TOKEN` and `sh` as its program; and
   * `edit` on top of that.
   */
  bundle(edit: Edit = {}): Bundle {
    const directory = this.path('bundle');
    makeRootfs(join(directory, 'rootfs'));
    const config = structuredClone(defaultSpec()) as Config;
    config.process.terminal = false;
    config.root.readonly = false;
    config.linux.cgroupsPath = CGROUP_MANAGER === 'systemd' ? `:${this.token}:${this.count}` : `/${this.token}/${this.count}`;
    return new Bundle(directory, config).edit(edit);
  }

  /** A new bundle whose program is a script for busybox's sh. */
  script(script: string, edit: Edit = {}): Bundle {
    return this.bundle((config) => {
      config.process.args = ['sh', '-c', script];
      apply(config, edit);
    });
  }

  /** Starts `strata` with this workspace's root. Its output goes to files, so that a container that keeps them open holds nobody up. */
  spawn(args: readonly string[], options: CommandOptions = {}): Running {
    const files = ['in', 'out', 'err'].map((name) => this.path(name));
    const [input = '', out = '', err = ''] = files;
    fs.writeFileSync(input, options.stdin ?? '');
    const descriptors = [fs.openSync(options.stdin === undefined ? '/dev/null' : input, 'r'), fs.openSync(out, 'a'), fs.openSync(err, 'a')];
    const stdio: StdioOptions = [...descriptors, ...(options.descriptors ?? [])];
    const [command = STRATA, ...rest] = [...(options.through ?? []), options.command ?? STRATA, '--root', this.root, ...MANAGER_FLAGS, ...args];
    const child = spawn(command, rest, {
      cwd: options.cwd ?? this.directory,
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', ...(HOST !== '' && { STRATA_HOST: HOST }), ...options.env, STRATA_TEST: this.token },
      stdio,
    });
    for (const descriptor of descriptors) fs.closeSync(descriptor);
    const stdout = (): string => readText(out);
    const stderr = (): string => readText(err);
    const result = new Promise<Result>((fulfil, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`strata ${args.join(' ')} hangs; so far it said: ${stderr()}`));
      }, HANGS);
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        fulfil({ code: code ?? -1, signal, stdout: stdout(), stderr: stderr() });
      });
    });
    return { process: child, pid: child.pid ?? -1, stdout, stderr, result };
  }

  /** Runs `strata` and waits for it, not for its container. */
  strata(args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return this.spawn(args, options).result;
  }

  /** The same, and it must succeed. @throws Error with what it said. */
  async succeed(args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    const result = await this.strata(args, options);
    if (result.code !== 0) throw new Error(`strata ${args.join(' ')}: ${ending(result)}\n${result.stderr}${result.stdout}`);
    return result;
  }

  /** `strata run` in the foreground. */
  run(bundle: Bundle, args: readonly string[] = [], options: CommandOptions = {}): Promise<Result> {
    return this.strata(['run', '--bundle', bundle.directory, ...args, this.id('run')], options);
  }

  /** What a script prints in a container of its own, without the last newline. @throws Error if it does not end well. */
  async shell(script: string, edit: Edit = {}, args: readonly string[] = [], options: CommandOptions = {}): Promise<string> {
    return (await this.output(this.script(script, edit), args, options)).trimEnd();
  }

  /** What a bundle's program prints. @throws Error if it does not end well. */
  async output(bundle: Bundle, args: readonly string[] = [], options: CommandOptions = {}): Promise<string> {
    const result = await this.run(bundle, args, options);
    if (result.code !== 0) throw new Error(`${bundle.config.process.args.join(' ')}: ${ending(result)}\n${result.stderr}${result.stdout}`);
    return result.stdout;
  }

  /** `strata create`, which must succeed. The program's output will come in `stdout()` and `stderr()`. */
  async create(bundle: Bundle, args: readonly string[] = [], options: CommandOptions = {}): Promise<{ id: string } & Running> {
    const id = this.id();
    const running = this.spawn(['create', '--bundle', bundle.directory, ...args, id], options);
    const result = await running.result;
    if (result.code !== 0) throw new Error(`create: ${ending(result)}\n${result.stderr}`);
    return { id, ...running };
  }

  /** `create` and `start`. */
  async start(bundle: Bundle, args: readonly string[] = [], options: CommandOptions = {}): Promise<{ id: string } & Running> {
    const created = await this.create(bundle, args, options);
    await this.succeed(['start', created.id]);
    return created;
  }

  /** `strata state` as data. */
  async state(id: string): Promise<ContainerState> {
    return JSON.parse((await this.succeed(['state', id])).stdout) as ContainerState;
  }

  /** `strata delete --force`, which must succeed. */
  async remove(id: string): Promise<void> {
    await this.succeed(['delete', '--force', id]);
  }

  /** Waits until a container has this status; `strata state` is asked again and again. */
  async reach(id: string, status: ContainerState['status']): Promise<ContainerState> {
    let state: ContainerState | undefined;
    await eventually(`container ${id} to be ${status}`, async () => {
      state = await this.state(id);
      return state.status === status;
    });
    return state as ContainerState;
  }

  /** Waits until nothing is left of a container that its keeper deletes: the command with which it does that ends last. */
  async gone(id: string): Promise<void> {
    await eventually(`container ${id} to be gone`, () => !this.leaks().some((line) => line.includes(id)));
  }

  /**
   * Waits until `strata run` has nothing left to do but to wait for its program. Before that a signal makes it take the container back. Whoever gets the
   * container's lock knows that it is so.
   */
  async attended(id: string): Promise<void> {
    await this.reach(id, 'running');
    await this.succeed(['pause', id]);
    await this.succeed(['resume', id]);
  }

  /** Runs a program of the host beside the containers; it is killed with the workspace. */
  helper(args: readonly string[]): ChildProcess & { readonly pid: number } {
    const [command = '', ...rest] = args;
    const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
    if (child.pid === undefined) throw new Error(`cannot run ${command}`);
    this.helpers.push(child);
    return child as ChildProcess & { readonly pid: number };
  }

  /** Makes a directory on the host and mounts something there, with mount(8); it is unmounted with the workspace. Gives back the directory. */
  mount(type: string, options: string, at = this.path('mount')): string {
    fs.mkdirSync(at, { recursive: true });
    execFileSync('mount', ['-t', type, '-o', options, type, at]);
    this.hostMounts.push(at);
    this.everMounted.push(at);
    return at;
  }

  /** Ends the programs of {@link helper} and undoes what {@link mount} has done. */
  async endHelpers(): Promise<void> {
    for (const child of this.helpers.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((fulfil) => child.once('exit', fulfil));
      child.kill('SIGKILL');
      await gone;
    }
    for (const at of this.hostMounts.splice(0).reverse()) spawnQuietly('umount', ['-l', at]);
  }

  /** Host directories of cgroups with this path, one for each hierarchy that has it. */
  cgroups(path: string): string[] {
    const hierarchies = CGROUP_V2 ? [''] : fs.readdirSync('/sys/fs/cgroup');
    return hierarchies.map((name) => join('/sys/fs/cgroup', name, path)).filter((directory) => fs.existsSync(directory));
  }

  /**
   * What is left on the machine of the containers of this workspace: cgroups of any hierarchy, mounts, processes, state. One line each; none if nothing
   * is left. Helpers, and mounts of the test's own, count too.
   */
  leaks(): string[] {
    const out = [
      ...this.leftCgroups().map((directory) => `cgroup ${directory}`),
      ...this.leftMounts().map((line) => `mount ${line}`),
      ...this.leftProcesses().map(({ pid, why }) => `process ${pid}: ${why}`),
    ];
    for (const name of namesIn(this.root)) if (name !== '@seccomp') out.push(`state ${name}: ${namesIn(join(this.root, name))}`);
    return out;
  }

  /** Removes everything, also after a failure. */
  async dispose(): Promise<void> {
    await this.endHelpers();
    if (this.leaks().length > 0) {
      const ids = fs.existsSync(this.root) ? fs.readdirSync(this.root).filter((name) => name !== '@seccomp') : [];
      for (const id of ids) await this.strata(['delete', '--force', id]).catch(() => {});
      for (const { pid } of this.leftProcesses()) kill(pid);
      for (const line of this.leftMounts().reverse()) if (!this.wasThere(line)) spawnQuietly('umount', ['-l', decodeOctal(line.split(' ')[4] ?? '')]);
      await eventually('killed processes to be gone', () => this.leftProcesses().length === 0).catch(() => {});
      for (const directory of this.leftCgroups().reverse()) removeDirectory(directory);
    }
    // Through a mount that could not be removed this would delete what is mounted.
    if (this.leftMounts().length === 0) fs.rmSync(this.directory, { recursive: true, force: true });
  }

  /** Parents before children. */
  private leftCgroups(): string[] {
    const out: string[] = [];
    const visit = (directory: string): void => {
      for (const entry of list(directory)) {
        const path = join(directory, entry);
        if (path.includes(this.token)) out.push(path);
        visit(path);
      }
    };
    visit('/sys/fs/cgroup');
    return out;
  }

  /** Mounts of ours, and mounts on the directories that every machine has, which a container could have made in place of its own. */
  private leftMounts(): string[] {
    return mounts().filter((line) => line.includes(this.token) || (isFixed(line) && !this.fixedMounts.has(line)));
  }

  /** One of the machine's, whose options have changed. */
  private wasThere(line: string): boolean {
    const id = (entry: string): string | undefined => entry.split(' ')[0];
    return [...this.fixedMounts].some((known) => id(known) === id(line));
  }

  private leftProcesses(): { pid: number; why: string }[] {
    const own = namespaceOf(process.pid, 'mnt');
    const out: { pid: number; why: string }[] = [];
    for (const name of fs.readdirSync('/proc')) {
      const pid = Number(name);
      if (!Number.isInteger(pid) || pid === process.pid) continue;
      const why = this.isMine(pid, own);
      if (why !== undefined) out.push({ pid, why });
    }
    return out;
  }

  /** Whether a mount of ours is in this mountinfo, other than what {@link mount} made: that is copied into everybody's new namespaces. */
  private containerMounts(mountinfo: string): boolean {
    return mountinfo.split('\n').some((line) => line.includes(this.token) && !this.everMounted.some((at) => line.includes(` ${at} `)));
  }

  /** How a process shows that it belongs here. One that is dead but not yet reaped holds nothing, and reaping it is its parent's business. */
  private isMine(pid: number, ownMounts: string): string | undefined {
    const at = `/proc/${pid}`;
    const status = /^State:\s+(\S)/m.exec(readText(`${at}/status`))?.[1];
    if (status === undefined || status === 'Z' || status === 'X') return undefined;
    // A cgroup that has been removed has no processes but those that are about to be gone.
    const names = (file: string): boolean =>
      readText(`${at}/${file}`)
        .replace(/^.* \(deleted\)$/gm, '')
        .includes(this.token);
    const told =
      ['cmdline', 'environ', 'cgroup'].find(names) ??
      (namespaceOf(pid, 'mnt') !== ownMounts && this.containerMounts(readText(`${at}/mountinfo`)) ? 'mountinfo' : undefined);
    return told && `${told} names it, ${readText(`${at}/comm`).trim()}, ${readText(`${at}/cmdline`).replaceAll('\0', ' ')}`;
  }
}

// --- small things ------------------------------------------------------------------------------------------------------------------------------

/** Waits until something has become true; a test that has to wait for long has hung. @throws Error when it does not happen. */
export async function eventually(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + HANGS / 2;
  for (let pause = 1; !(await isTrue()); pause = Math.min(pause * 2, 50)) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((fulfil) => setTimeout(fulfil, pause));
  }
}

/** `net:[4026531840]`: the namespace of a process; '' if the process is gone. */
export function namespaceOf(pid: number | 'self', type: string): string {
  try {
    return fs.readlinkSync(`/proc/${pid}/ns/${type}`);
  } catch {
    return '';
  }
}

/** Lines of /proc/self/mountinfo. */
export function mounts(): string[] {
  return fs.readFileSync('/proc/self/mountinfo', 'utf8').trimEnd().split('\n');
}

function isFixed(line: string): boolean {
  const point = line.split(' ')[4] ?? '';
  return point === '/' || /^\/(proc|sys|dev)(\/|$)/.test(point);
}

function ending({ code, signal }: Result): string {
  return signal === null ? `exit status ${code}` : `killed by ${signal}`;
}

/** '' for a file that is gone or not ours to read: processes come and go. */
function readText(path: string): string {
  try {
    if (path.startsWith('/proc/')) return fs.readFileSync(path, 'latin1');
    if (fs.statSync(path).size > MAX_TEXT) throw new Error(`${path} is larger than anything that a test prints`);
    return fs.readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Of all that is in a directory; none if it is gone. */
function namesIn(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

function list(directory: string): string[] {
  try {
    return fs
      .readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

function decodeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone meanwhile.
  }
}

function removeDirectory(path: string): void {
  try {
    fs.rmdirSync(path);
  } catch {
    // Reported as left already.
  }
}

function spawnQuietly(command: string, args: readonly string[]): void {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
  } catch {
    // Reported as left already.
  }
}
