/** `restore`: a container made again of what `checkpoint` has written. */
import { StrataError } from '../base/error.ts';
import { mountsBelow, movedMounts, parseMounts } from '../criu/mountinfo.ts';
import { type CriuOptions, type InheritedDescriptor, REQUEST } from '../criu/rpc.ts';
import type { Descriptor, ExitStatus, Host, Launched, LaunchFailure } from '../host/host.ts';
import { LaunchError } from '../host/host.ts';
import { hostUser } from '../plan/cgroup-owner.ts';
import { encode } from '../plan/encode.ts';
import { CLONE, MS, type Operation, type OperationName, type Plan } from '../plan/op.ts';
import { findNamespace } from '../spec/refuse.ts';
import { checkCgroups, connectTo, remainsOf, sendPidfd, type Up, withTop, writePidFile } from './bring-up.ts';
import {
  checkConfigFile,
  checkOwner,
  checkRights,
  DESCRIPTORS_FILE,
  directories,
  EXTERNAL_NAMESPACES,
  type ImageOptions,
  LARGEST_MOUNTINFO,
  NOTIFY_FILE,
  sharedOptions,
  unifiedMount,
} from './checkpoint.ts';
import { checkTerminal } from './create.ts';
import { type Criu, criuError, FIRST_GIVEN, removeTemporary, startCriu } from './criu.ts';
import { cgroupDirectories, destroy } from './destroy.ts';
import { launchError, stepAt } from './failure.ts';
import { ERRNO, hasErrno } from './fault.ts';
import { runHooks } from './hooks.ts';
import { withLock } from './lock.ts';
import { prepareNotify } from './notify.ts';
import { isAlive } from './observe.ts';
import { type CreateOptions, checkRootfs, type Prepared, prepare } from './prepare.ts';
import type { Report } from './report.ts';
import { attend, type RunOptions, refuseConsoleSocket } from './run.ts';
import { endScope, holdScope } from './scope.ts';
import { withCleanupFault } from './start.ts';
import { hookState } from './state.ts';
import {
  type ContainerRecord,
  containerDirectory,
  hasState,
  idTaken,
  prepareRoot,
  release,
  reserve,
  save,
  saveProcess,
  unifiedEntry,
} from './store.ts';

export interface RestoreOptions
  extends Omit<CreateOptions, 'preserveFds' | 'listenFds' | 'noPivot' | 'noNewKeyring' | 'consoleSize' | 'notifySocket' | 'notify'>,
    ImageOptions {
  /** Close the connections of the image in place of taking them up. */
  readonly tcpClose?: boolean;
  /** Of a security module, `apparmor:NAME` or `selinux:LABEL`: in place of the one in the image. */
  readonly lsmProfile?: string;
  /** SELinux label of the mounts. */
  readonly lsmMountContext?: string;
}

const LOG = 'restore.log';
/** Bytes; three names. */
const LARGEST_DESCRIPTORS = 64 * 1024;
/** Bytes; a path. */
const LARGEST_NOTIFY = 16 * 1024;
/** The names that restore gives CRIU a descriptor for. Others in the file are no standard streams of ours to replace. */
const REPLACEABLE = /^(?:pipe:\[[0-9]{1,20}\]|file\[[0-9a-f]{1,16}:[0-9a-f]{1,16}\])$/;

/** Restores the container and returns when it runs. @throws StrataError of any code; then nothing of the container is left. */
export async function restoreDetached(host: Host, options: RestoreOptions): Promise<Up> {
  const prepared = prepare(host, withNotifyPlace(host, options));
  checkTerminal(prepared.record.terminal, options);
  return restoreUp(host, options, prepared);
}

/**
 * Where the container had a socket of sd_notify(3): there its directory is again. The program has said what it had to say there, so nobody listens.
 */
export function withNotifyPlace<Options extends Pick<RestoreOptions, 'imagePath' | 'notifyPlace'>>(host: Host, options: Options): Options {
  const path = `${options.imagePath}/${NOTIFY_FILE}`;
  if (host.stat(path) === undefined) return options;
  const place = parseText(host.readText(path, LARGEST_NOTIFY));
  if (place?.startsWith('/') !== true || place.includes('\0')) {
    throw new StrataError({ code: 'criu', stage: 'restore', reason: `${path} is not an absolute path`, path });
  }
  return { ...options, notifyPlace: place };
}

/** Undefined for what is no text. */
function parseText(source: string): string | undefined {
  try {
    const value: unknown = JSON.parse(source);
    return typeof value === 'string' ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

interface Resumed {
  /** The program goes on. It is not to throw. */
  readonly resumed?: () => Promise<void>;
}

/** Restores the container in front of the caller, as `run` runs one. Deletes it afterwards. */
export async function restoreForeground(host: Host, options: RestoreOptions & RunOptions & Resumed): Promise<ExitStatus> {
  refuseConsoleSocket(options);
  const prepared = prepare(host, withNotifyPlace(host, options));
  return attend(host, options, prepared, (own) => restoreUp(host, own, prepared), options.resumed);
}

/**
 * Makes a prepared container of the image, and gives it back when it runs. @throws StrataError of any code; then nothing of the container is left.
 */
export async function restoreUp(host: Host, options: RestoreOptions, prepared: Prepared): Promise<Up> {
  const { root, id } = options;
  checkRestorable(host, prepared, options);
  checkRootfs(host, prepared.record);
  prepareRoot(host, root);
  reserve(host, root, id);
  return withLock(host, root, id, () => {
    if (hasState(host, root, id)) throw idTaken(id);
    return new Attempt(host, options, prepared).carryOut();
  });
}

function checkRestorable(host: Host, { spec, record }: Prepared, { warn }: Report): void {
  const fault = { code: 'config-unsupported', stage: 'restore' } as const;
  checkRights(host, 'restore');
  for (const { type, path } of spec.linux.namespaces) {
    if (path === undefined || EXTERNAL_NAMESPACES[type] !== undefined) continue;
    throw new StrataError({ ...fault, pointer: '/linux/namespaces', reason: `a container in the ${type} namespace ${path} cannot be restored` });
  }
  checkConfigFile(host, record.annotations);
  if (spec.linux.netDevices !== undefined && Object.keys(spec.linux.netDevices).length > 0) {
    throw new StrataError({ ...fault, pointer: '/linux/netDevices', reason: 'a container with devices of the host cannot be restored' });
  }
  const left = (['createContainer', 'startContainer', 'poststart'] as const).filter((kind) => spec.hooks[kind].length > 0);
  if (left.length > 0) warn?.(`/hooks: at a restore the hooks ${left.join(', ')} are not run`);
  if (findNamespace(spec, 'mount') === undefined) {
    throw new StrataError({ ...fault, pointer: '/linux/namespaces', reason: 'a container without a mount namespace of its own cannot be restored' });
  }
}

/** One attempt at restoring a container, and what it has achieved so far: so much is to be undone. */
class Attempt {
  private readonly host: Host;
  private readonly options: RestoreOptions;
  private readonly prepared: Prepared;
  private readonly outside: readonly Operation[];
  private readonly opened: Descriptor[] = [];
  private record: ContainerRecord;
  private criu: Criu | undefined;
  private launching = false;
  private failure: LaunchFailure | undefined;
  private scoped = false;
  private pidfd: Descriptor | undefined;
  private terminalSent = false;
  private pidFileWritten = false;

  constructor(host: Host, options: RestoreOptions, prepared: Prepared) {
    this.host = host;
    this.options = options;
    this.prepared = prepared;
    this.record = prepared.record;
    this.outside = outsideOperations(prepared.plan);
  }

  async carryOut(): Promise<Up> {
    const { host, options } = this;
    const { imagePath, workPath = imagePath, pidFile, pidfdSocket } = options;
    try {
      checkOwner(host, 'restore', workPath === imagePath ? 'image' : 'work', workPath);
      checkCgroups(host, this.record);
      this.keep(this.prepared.scope === undefined ? { cgroups: this.record.cgroups.map((cgroup) => withTop(host, cgroup)) } : {});
      if (workPath !== imagePath) host.makeDirectories(workPath, 0o700);
      prepareNotify(host, options.root, this.record, -1);
      const root = host.realPath(rootOf(this.prepared.plan));
      let points: readonly string[] = [];
      await runToReady(host, placesPlan(this.prepared), (pid) => {
        points = mountsBelow(parseMounts(host.readText(`/proc/${pid}/mountinfo`, LARGEST_MOUNTINFO)), root);
      });
      const given: Descriptor[] = [];
      const inheritFd = this.inherit(given);
      const criu = await this.start(given);
      await criu.checkVersion();
      const request: CriuOptions = {
        ...directories(criu, options, this.opened),
        logFile: LOG,
        ...this.requestOptions(points),
        ...(unifiedMount(host) !== undefined && { cgroupYard: host.realPath(containerDirectory(options.root, options.id)) }),
        inheritFd,
        cgroupRoots: cgroupRoots(host.readText(`/proc/${this.record.process?.pid}/cgroup`)),
      };
      options.debug?.('have CRIU restore it');
      criu.log = `${workPath}/${LOG}`;
      const response = await criu.ask({ type: REQUEST.restore, options: request }, (script, pid, descriptor) =>
        this.notified(script, pid, descriptor),
      );
      if (!response.success || response.restoredPid === undefined) throw criuError(host, 'restore', `${workPath}/${LOG}`, response);
      const up = this.finish(response.restoredPid);
      if (pidFile !== undefined) {
        writePidFile(host, pidFile, up.pid);
        this.pidFileWritten = true;
      }
      if (pidfdSocket !== undefined) sendPidfd(host, pidfdSocket, up.pidfd, 'standard');
      await criu.end();
      await host.removeTree(unifiedEntry(options.root, options.id));
      this.closeAll();
      return up;
    } catch (error) {
      throw await this.undo(error);
    }
  }

  private keep(changes: Partial<ContainerRecord>): void {
    this.record = { ...this.record, ...changes };
    save(this.host, this.options.root, this.record);
  }

  private open(path: string): Descriptor {
    const descriptor = this.host.openFile(path);
    this.opened.push(descriptor);
    return descriptor;
  }

  private closeAll(): void {
    for (const descriptor of this.opened.splice(0)) this.host.close(descriptor);
  }

  private requestOptions(points: readonly string[]): CriuOptions {
    const { options, record, prepared } = this;
    const { lsmProfile, lsmMountContext } = options;
    return {
      ...sharedOptions(options, record.annotations),
      rstSibling: true,
      evasiveDevices: true,
      root: rootOf(prepared.plan),
      tcpClose: options.tcpClose ?? false,
      external: externals(this.host, prepared, points),
      ...(lsmProfile !== undefined && { lsmProfile }),
      ...(lsmMountContext !== undefined && { lsmMountContext }),
    };
  }

  /** What CRIU has in place of what is not in the image: our own standard streams, and namespaces, whose descriptors are added to `given`. */
  private inherit(given: Descriptor[]): InheritedDescriptor[] {
    const { host, options, record, prepared } = this;
    const out: InheritedDescriptor[] = [];
    // Once more, for CRIU closes what it has taken, and with --shell-job wants to have its own.
    const stdio = options.stdio ?? [0, 1, 2];
    readDescriptors(host, options.imagePath).forEach((key, index) => {
      const stream = stdio[index];
      if (stream === undefined || !REPLACEABLE.test(key)) return;
      out.push({ key, fd: FIRST_GIVEN + given.length });
      given.push(stream);
    });
    for (const type of record.joined ?? []) {
      const path = findNamespace(prepared.spec, type)?.path;
      const key = EXTERNAL_NAMESPACES[type]?.key;
      if (path === undefined || key === undefined) continue;
      out.push({ key, fd: FIRST_GIVEN + given.length });
      given.push(this.open(path));
    }
    return out;
  }

  private async start(given: readonly Descriptor[]): Promise<Criu> {
    const { host, options, prepared, outside } = this;
    const { scope } = prepared;
    const held = scope && (await holdScope(host, scope, cgroupDirectories(this.record)[0] ?? ''));
    this.scoped = scope !== undefined;
    this.launching = true;
    try {
      this.criu = await startCriu(host, {
        outside,
        inside: this.insideOperations(),
        stdio: options.stdio ?? [0, 1, 2],
        given,
        // Until there is the container's own process it is CRIU that is to be killed.
        launched: ({ pid, startTime }) => this.keep({ process: { pid, startTime } }),
        failed: (failure) => {
          this.failure = failure;
        },
        pause: options.checkpoint,
      });
    } finally {
      await held?.release();
    }
    await held?.tighten();
    const { process } = prepared.spec;
    if (process !== undefined) saveProcess(host, options.root, options.id, process);
    return this.criu;
  }

  /**
   * The root is a mount, as CRIU wants it, in a mount namespace that goes with CRIU. In a user namespace CRIU opens our pipes anew, as root there, and
   * is to find them the container's, as after `create`.
   */
  private insideOperations(): Operation[] {
    const { host, options, prepared } = this;
    const { plan, spec } = prepared;
    const root = plan.operations.filter(({ op }) => op === 'mount-label' || op === 'root-bind' || op === 'root-overlay');
    const uid = hostUser(spec, spec.process?.user.uid ?? 0) ?? 0;
    const streams: Operation[] = uid === 0 ? [] : [{ op: 'stdio', pointer: '/process/user/uid', uid }];
    const inherited = plan.operations.filter(
      (operation) => INHERITED.includes(operation.op) || (operation.op === 'selinux-label' && operation.attribute === 'keycreate'),
    );
    // A mount and no link: the container's process looks there too, when it has its own root.
    const unified = unifiedMount(host);
    const directory = unifiedEntry(options.root, options.id);
    if (unified !== undefined) host.makeDirectory(directory, 0o700);
    const cgroups: Operation[] = unified === undefined ? [] : [{ op: 'host-bind', pointer: '', source: unified, directory }];
    return [{ op: 'propagation', pointer: '', propagation: MS.rec | MS.slave }, ...cgroups, ...root, ...streams, ...inherited];
  }

  private async notified(script: string, pid: number, descriptor: Descriptor): Promise<void> {
    this.options.debug?.(`CRIU: ${script}`);
    if (script === 'orphan-pts-master') return this.sendTerminal(descriptor);
    if (descriptor !== -1) this.host.close(descriptor);
    if (script === 'setup-namespaces') await this.enterStage(pid);
    if (script === 'post-restore') {
      this.recordProcess(pid);
      this.checkRoot(pid);
    }
  }

  /** Nothing runs yet. CRIU 3.17 leaves the flags of the root out. */
  private checkRoot(pid: number): void {
    const { host, prepared } = this;
    if (!prepared.spec.root.readonly) return;
    const root = parseMounts(host.readText(`/proc/${pid}/mountinfo`, LARGEST_MOUNTINFO)).find(({ point }) => point === '/');
    if (root?.readonly === true) return;
    const reason = 'CRIU has restored the root as one that can be written to, and it is to be read-only';
    throw new StrataError({ code: 'criu', stage: 'restore', pointer: '/root/readonly', reason, hint: 'CRIU 4 keeps it read-only' });
  }

  private sendTerminal(master: Descriptor): void {
    const { host, options, record } = this;
    try {
      if (!record.terminal) return;
      const { consoleSocket, console = -1 } = options;
      const socket = consoleSocket === undefined ? console : connectTo(host, consoleSocket, 'console socket');
      if (socket === -1) return;
      try {
        host.sendDescriptor(socket, master, '/dev/ptmx');
        this.terminalSent = true;
      } finally {
        if (socket !== console) host.close(socket);
      }
    } finally {
      host.close(master);
    }
  }

  /** The namespaces are there, and nothing in them: the moment of the runtime's hooks. */
  private async enterStage(pid: number): Promise<void> {
    const { host, options, prepared } = this;
    const { hooks } = prepared.spec;
    const process = { pid, startTime: startTimeOf(host, pid) };
    const network = findNamespace(prepared.spec, 'network');
    if (network !== undefined && network.path === undefined) await runToReady(host, networkPlan(prepared.plan, process));
    if (hooks.prestart.length + hooks.createRuntime.length === 0) return;
    this.keep({ hooksBegun: true });
    const seen = { ...this.record, process };
    await runHooks(host, 'prestart', hooks.prestart, hookState(seen, 'created'), options);
    await runHooks(host, 'createRuntime', hooks.createRuntime, hookState(seen, 'creating'), options);
  }

  /** It stands still for the moment. CRIU has moved it into a time namespace of its own where the kernel has them, which `exec` has to join. */
  private recordProcess(pid: number): void {
    const { host, record } = this;
    const { traits } = record;
    const ownTime = timeNamespace(host, `${pid}`) !== timeNamespace(host, 'self');
    const joined = traits && ownTime ? { traits: { ...traits, namespaces: traits.namespaces | CLONE.time } } : {};
    const process = { pid, startTime: startTimeOf(host, pid) };
    this.pidfd = host.openProcess(pid, process.startTime);
    if (this.criu !== undefined) this.criu.isLost = () => !isAlive(host, this.record);
    this.keep({ process, ...joined });
  }

  private finish(pid: number): Up {
    const { record, pidfd } = this;
    const fault = { code: 'criu', stage: 'restore' } as const;
    if (pidfd === undefined || record.process?.pid !== pid) throw new StrataError({ ...fault, reason: 'CRIU does not tell what it has restored' });
    if (record.terminal && !this.terminalSent) {
      throw new StrataError({ ...fault, pointer: '/process/terminal', reason: 'the process in the image has no terminal' });
    }
    this.keep({ status: 'running', hooksBegun: true });
    return { record: this.record, pid, pidfd };
  }

  private async undo(error: unknown): Promise<unknown> {
    const { host, options, record } = this;
    options.debug?.('undo');
    try {
      this.closeAll();
      if (this.pidfd !== undefined) host.close(this.pidfd);
      if (this.criu !== undefined) {
        await this.criu.kill();
        const { imagePath, workPath = imagePath } = options;
        removeTemporary(host, workPath, `${workPath}/${LOG}`);
      }
      if (this.pidFileWritten && options.pidFile !== undefined) host.removeFile(options.pidFile);
      if (this.launching) await destroy(host, options.root, remainsOf(record, this.outside, this.failure, record.hooksBegun), options);
      else {
        if (this.scoped && record.systemd !== undefined) await endScope(host, record.systemd, cgroupDirectories(record)[0]);
        await release(host, options.root, options.id);
      }
    } catch (fault) {
      return withCleanupFault(error, fault);
    }
    return error;
  }
}

/** The plan's cgroups, seccomp program and class of service, and CRIU born into them; namespaces are CRIU's to make. */
function outsideOperations({ operations }: Plan): Operation[] {
  const at = operations.findIndex(({ op }) => op === 'clone');
  return operations.slice(0, at + 1).flatMap((operation): Operation[] => {
    if (operation.op === 'id-map-helper') return [];
    if (operation.op !== 'clone') return [operation];
    return [{ ...operation, create: CLONE.mount, join: [], uidMap: '', gidMap: '', timeOffsets: '', unprivileged: false }];
  });
}

/**
 * What CRIU does not save, and its children have from it: no session keyring of the caller's, what the scheduler of I/O and memory look at, and, which
 * only newer ones than 3.17 save, that they gain no privileges.
 */
const INHERITED: readonly OperationName[] = ['keyring', 'io-priority', 'memory-policy', 'no-new-privileges'];

/** What makes places in the root, if they are missing: CRIU mounts on what is there. */
const PLACES: readonly OperationName[] = [
  'propagation',
  'mount-label',
  'root-bind',
  'root-overlay',
  'mount',
  'bind',
  'remount',
  'directory',
  'symlink',
  'device',
];

/** Of /tmp: everybody may write, and remove what is his. */
const STICKY = 0o1777;

/** Everything as `create` has it up to the mounts, in a process that ends then. The container's cgroups are not there yet, nor needed. */
function placesPlan({ plan, record }: Prepared): Plan {
  const cgroups = cgroupDirectories(record);
  const operations = plan.operations.flatMap((operation): Operation[] => {
    if (operation.op === 'clone') return [{ ...operation, cgroup: '', tasks: [] }];
    if (operation.op === 'bind' && cgroups.includes(operation.source)) return [];
    // Where there is no /tmp, CRIU makes a directory in the root when it is read-only already.
    if (operation.op === 'root-readonly') return [{ op: 'directory', pointer: operation.pointer, path: '/tmp', mode: STICKY }];
    return operation.op === 'id-map-helper' || PLACES.includes(operation.op) ? [operation] : [];
  });
  return { operations: [...operations, { op: 'ready', pointer: '' }] };
}

/** `look`: done when the process has got as far as it goes. */
async function runToReady(host: Host, plan: Plan, look?: (pid: number) => void): Promise<void> {
  let launched: Launched | undefined;
  try {
    launched = await host.launch(encode(plan), { stdio: [0, 1, 2], preserve: 0, console: -1, start: -1 });
    await host.settle(launched);
    look?.(launched.pid);
  } catch (error) {
    throw error instanceof LaunchError ? launchError(error.failure, stepAt(plan, error.failure.operation)) : error;
  } finally {
    if (launched !== undefined) await host.abandon(launched);
  }
}

function rootOf({ operations }: Plan): string {
  for (const operation of operations) if (operation.op === 'root-bind' || operation.op === 'root-overlay') return operation.path;
  return '/';
}

/** What is mounted from the host, by the mount points that the image names: what the configuration asks for, and nothing else. */
function externals(host: Host, { plan, record }: Prepared, points: readonly string[]): string[] {
  const own = parseMounts(host.readText('/proc/self/mountinfo', LARGEST_MOUNTINFO));
  const unified = record.cgroups.at(-1);
  const mounts = plan.operations.flatMap((operation): (readonly [point: string, source: string])[] => {
    switch (operation.op) {
      case 'bind': {
        const { destination, recursive } = operation;
        // CRIU would bind a symbolic link itself.
        const source = realSource(host, operation.source);
        const below = recursive ? mountsBelow(own, source) : [];
        return ['', ...below].map((path) => [destination + path, source + path]);
      }
      case 'device':
        return operation.bind ? [[operation.path, operation.path]] : [];
      case 'mask':
        return [[operation.path, '/dev/null']];
      case 'mount':
        return operation.type === 'cgroup2' && unified !== undefined ? [[operation.destination, unified.hierarchy + unified.path]] : [];
      default:
        return [];
    }
  });
  const destinations = plan.operations.flatMap((operation) => ('destination' in operation ? [operation.destination] : []));
  const moved = movedMounts([...destinations, ...mounts.map(([point]) => point)], points);
  return mounts.map(([point, source]) => `mnt[${moved.get(point) ?? point}]:${source}`);
}

function realSource(host: Host, source: string): string {
  try {
    return host.realPath(source);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT))
      throw new StrataError({ code: 'system', stage: 'restore', reason: `cannot bind ${source}`, errno: ERRNO.ENOENT });
    throw error;
  }
}

/** The names of the three standard streams. The file is anybody's: what is no list of texts names none. */
function readDescriptors(host: Host, imagePath: string): string[] {
  const path = `${imagePath}/${DESCRIPTORS_FILE}`;
  let value: unknown;
  try {
    value = JSON.parse(host.readText(path, LARGEST_DESCRIPTORS));
  } catch (error) {
    if (error instanceof StrataError && error.errno !== undefined) {
      const hint = hasErrno(error, ERRNO.ENOENT) ? { hint: 'is it the directory of a checkpoint?' } : {};
      throw new StrataError({ code: 'system', stage: 'restore', reason: `cannot read ${path}`, errno: error.errno, path, ...hint });
    }
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw new StrataError({ code: 'criu', stage: 'restore', reason: `${path} is not a list of names`, path });
  }
  return value.slice(0, 3);
}

/** The cgroups that CRIU is in are the container's: one line for each hierarchy, its controllers in the middle. */
function cgroupRoots(text: string): { controller: string; path: string }[] {
  return text.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    return controllers === undefined || path === undefined ? [] : controllers.split(',').map((controller) => ({ controller, path }));
  });
}

/** Field 22 of /proc/PID/stat, behind a name that can have anything in it. */
function startTimeOf(host: Host, pid: number): bigint {
  const text = host.readText(`/proc/${pid}/stat`);
  return BigInt(text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '0');
}

function timeNamespace(host: Host, pid: string): string | undefined {
  try {
    return host.realPath(`/proc/${pid}/ns/time`);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT)) return undefined;
    throw error;
  }
}

/** The network namespace is a new one: it has none of the kernel parameters yet, and connections of the image may be to addresses of its `lo`. */
function networkPlan({ operations }: Plan, process: { readonly pid: number; readonly startTime: bigint }): Plan {
  const parameters = operations.filter((operation) => operation.op === 'sysctl' && operation.path.startsWith('net/'));
  return {
    operations: [
      { op: 'enter', pointer: '', ...process, namespaces: CLONE.network, chroot: false, cgroup: '', tasks: [] },
      ...parameters,
      { op: 'loopback-up', pointer: '' },
      { op: 'ready', pointer: '' },
    ],
  };
}
