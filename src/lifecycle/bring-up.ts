/**
 * Bringing a container up, for `create` and `run`: reserve the id, record the intent, launch, record the process, run the runtime's hooks, let it
 * go on (runtime.md#lifecycle, steps 1 to 8). Whatever fails, everything is undone and the first error is the one that is reported.
 */
import { StrataError, withFields } from '../base/error.ts';
import { recentFacts } from '../host/facts.ts';
import type { Descriptor, Host, Launched, LaunchFailure } from '../host/host.ts';
import { LaunchError } from '../host/host.ts';
import { encode } from '../plan/encode.ts';
import type { Operation, Plan } from '../plan/op.ts';
import { agentFor } from './agent.ts';
import { crowdHint } from './cgroup-files.ts';
import { cgroupDirectories, cgroupDirectory, destroy } from './destroy.ts';
import { launchError, stepAt } from './failure.ts';
import { ERRNO } from './fault.ts';
import { isFrozen } from './freezer.ts';
import { runHooks } from './hooks.ts';
import { withLock } from './lock.ts';
import { prepareNotify } from './notify.ts';
import type { CreateOptions, Prepared } from './prepare.ts';
import { checkRootfs } from './prepare.ts';
import { rdtRefusal } from './rdt.ts';
import { checkRights } from './rootless.ts';
import { endScope, type HeldScope, holdScope } from './scope.ts';
import { runPoststartHooks, withCleanupFault } from './start.ts';
import { hookState } from './state.ts';
import type { CgroupIntent, ContainerRecord } from './store.ts';
import { hasState, idTaken, prepareRoot, release, reserve, save, saveProcess, startSocket } from './store.ts';

/** A container that is up: `created`, or `running` if it was not to wait. */
export interface Up {
  readonly record: ContainerRecord;
  readonly pid: number;
  /** The caller's to close. */
  readonly pidfd: Descriptor;
}

/**
 * Brings a prepared container up. `waits`: until somebody says `start`; otherwise its program runs at once, and the poststart hooks too.
 *
 * @throws StrataError of any code; then nothing of the container is left.
 */
export async function bringUp(host: Host, options: CreateOptions, prepared: Prepared, waits: boolean): Promise<Up> {
  const { root, id } = options;
  checkRights(prepared.spec, recentFacts(host));
  checkDescriptors(host, options);
  checkRootfs(host, prepared.record);
  prepareRoot(host, root);
  reserve(host, root, id);
  return withLock(host, root, id, () => {
    // Before we had the lock, a delete may have taken our directory, and somebody else made the one that we hold: a container's, by now.
    if (hasState(host, root, id)) throw idTaken(id);
    return new Attempt(host, options, prepared, waits).carryOut();
  });
}

/** One attempt at bringing a container up, and what it has achieved so far: so much is to be undone. */
class Attempt {
  private readonly host: Host;
  private readonly options: CreateOptions;
  private readonly plan: Plan;
  private readonly prepared: Prepared;
  private readonly waits: boolean;
  private record: ContainerRecord;
  private launching = false;
  private launched: Launched | undefined;
  /** The process has left our hands: it waits for `start`, or runs the program. */
  private handedOver = false;
  private hooksBegun = false;
  /** systemd has made the scope. */
  private scoped = false;
  private pidFileWritten = false;

  constructor(host: Host, options: CreateOptions, prepared: Prepared, waits: boolean) {
    this.host = host;
    this.options = options;
    this.prepared = prepared;
    this.plan = prepared.plan;
    this.waits = waits;
    this.record = prepared.record;
  }

  async carryOut(): Promise<Up> {
    try {
      // Before the intent is on disk: what it names is taken for ours from then on.
      checkCgroups(this.host, this.record);
      this.keep(this.prepared.scope === undefined ? { cgroups: this.record.cgroups.map((cgroup) => withTop(this.host, cgroup)) } : {});
      prepareNotify(this.host, this.options.root, this.record, this.options.notify ?? -1);
      const held = await this.holdScope();
      this.pause('launch');
      const launched = await this.launch(held);
      await held?.tighten();
      // While the process sets itself up. After this it may run the program before we record that it does, so that poststop hooks are due.
      const { pid, startTime } = launched;
      this.keep({ process: { pid, startTime }, ...(this.willRunUnasked() && { hooksBegun: true }) });
      const section = this.prepared.spec.process;
      if (section !== undefined) saveProcess(this.host, this.options.root, this.options.id, section);
      const at = await this.host.settle(launched, agentFor(this.record, pid, 'creating'));
      if (at === 'hooks') this.keep({ hooksBegun: true });
      this.handOut(launched);
      if (at === 'hooks') await this.passHooks(launched);
      this.pause(this.waits ? 'let it wait for start' : 'run the program');
      this.hooksBegun = true;
      await this.host.proceed(launched, 'ready', agentFor(this.record, pid, 'created'));
      this.handedOver = true;
      // While the program runs already: should we die before, its process and its hooks tell `observe` and `delete` as much.
      this.keep({ status: this.waits ? 'created' : 'running', hooksBegun: true });
      if (!this.waits) await runPoststartHooks(this.host, this.record, this.options);
      this.options.checkpoint?.();
      return { record: this.record, pid, pidfd: launched.pidfd };
    } catch (error) {
      throw await this.undo(error);
    }
  }

  /** Whether no hook of the runtime and no `start` comes between the birth of the process and its program. */
  private willRunUnasked(): boolean {
    return !this.waits && !this.plan.operations.some(({ op }) => op === 'runtime-hooks');
  }

  /** Between two stages the caller may give up. */
  private pause(next: string): void {
    this.options.checkpoint?.();
    this.options.debug?.(next);
  }

  private keep(changes: Partial<ContainerRecord>): void {
    this.record = { ...this.record, ...changes };
    save(this.host, this.options.root, this.record);
  }

  private async holdScope(): Promise<HeldScope | undefined> {
    const { scope } = this.prepared;
    if (scope === undefined) return undefined;
    this.pause(`have systemd make ${scope.name.unit}`);
    const held = await holdScope(this.host, scope, cgroupDirectories(this.record)[0] ?? '');
    this.scoped = true;
    return held;
  }

  private async launch(held: HeldScope | undefined): Promise<Launched> {
    const { host, options } = this;
    const { root, id, stdio = [0, 1, 2] } = options;
    const opened: Descriptor[] = [];
    try {
      if (this.waits) opened.push(host.listen(startSocket(root, id)));
      const start = opened[0] ?? -1;
      let console = (this.record.terminal ? options.console : undefined) ?? -1;
      if (options.consoleSocket !== undefined) {
        console = connectTo(host, options.consoleSocket, 'console socket');
        opened.push(console);
      }
      const preserve = (options.listenFds ?? 0) + (options.preserveFds ?? 0);
      const bytes = encode(this.plan);
      this.launching = true;
      this.launched = await host.launch(bytes, { stdio, preserve, console, start });
      return this.launched;
    } finally {
      for (const descriptor of opened) host.close(descriptor);
      await held?.release();
    }
  }

  /** Tells the process to those who asked for it. */
  private handOut({ pid, pidfd }: Launched): void {
    const { pidFile, pidfdSocket } = this.options;
    if (pidFile !== undefined) {
      writePidFile(this.host, pidFile, pid);
      this.pidFileWritten = true;
    }
    if (pidfdSocket !== undefined) sendPidfd(this.host, pidfdSocket, pidfd, 'standard');
  }

  private async passHooks(launched: Launched): Promise<void> {
    const { prestart, createRuntime } = this.prepared.spec.hooks;
    this.pause('run hooks');
    this.hooksBegun = true;
    // prestart hooks were made for a time when they ran with `start`, and expect a container that is created (runtime.md, after step 2).
    await runHooks(this.host, 'prestart', prestart, hookState(this.record, 'created'), this.options);
    await runHooks(this.host, 'createRuntime', createRuntime, hookState(this.record, 'creating'), this.options);
    this.pause('finish the root file system');
    await this.host.proceed(launched, 'hooks', agentFor(this.record, launched.pid, 'creating'));
  }

  /** Undoes what was achieved; gives back what to throw. */
  private async undo(cause: unknown): Promise<unknown> {
    const { host, options } = this;
    const error = cause instanceof LaunchError ? this.explained(launchError(cause.failure, stepAt(this.plan, cause.failure.operation))) : cause;
    options.debug?.('undo');
    try {
      if (this.launched !== undefined) {
        if (this.handedOver) host.close(this.launched.pidfd);
        else await host.abandon(this.launched);
      }
      if (this.pidFileWritten && options.pidFile !== undefined) host.removeFile(options.pidFile);
      const failure = cause instanceof LaunchError ? cause.failure : undefined;
      const remains = remainsOf(this.record, this.plan.operations, failure, this.hooksBegun);
      if (this.launching) await destroy(host, options.root, remains, options);
      else {
        const { systemd } = this.record;
        if (this.scoped && systemd !== undefined) await endScope(host, systemd, cgroupDirectories(this.record)[0]);
        await release(host, options.root, options.id);
      }
    } catch (fault) {
      return withCleanupFault(error, fault);
    }
    return error;
  }

  /** With the kernel's own words for what it has refused: a class of service, a cgroup that takes no process. */
  private explained(error: StrataError): StrataError {
    const { rdt, cgroups } = this.record;
    if (error.operation === 'clone' && error.errno === ERRNO.EOPNOTSUPP) return withFields(error, { hint: threadHint(this.host, cgroups) });
    const crowd = error.errno === ERRNO.EAGAIN ? crowdHint(this.host, cgroups, 1) : undefined;
    if (crowd !== undefined) return withFields(error, { hint: crowd });
    // What systemd has limited has no memory for a cgroup in it either.
    if (error.errno === ERRNO.ENOMEM && this.prepared.spec.linux.resources.memory?.limit !== undefined) {
      return withFields(error, { hint: 'is the memory limit too low?' });
    }
    if (error.operation === 'clone' && error.errno === ERRNO.EACCES && this.record.systemd?.manager === 'user') {
      return withFields(error, { hint: "strata itself has to run in a unit of the user's systemd, as systemd-run --user --scope has it" });
    }
    const hint = cgroupHint(error, this.prepared.spec.linux.cgroupsPath ?? '', this.host.userId());
    if (hint !== undefined) return withFields(error, { hint });
    if (rdt === undefined || error.pointer?.startsWith('/linux/intelRdt') !== true) return error;
    const refusal = rdtRefusal(this.host, rdt);
    return refusal === undefined ? error : withFields(error, { hint: refusal });
  }
}

/** What an ordinary user can do where a cgroup takes neither limits nor the process. `asked`: the `cgroupsPath`. */
function cgroupHint({ operation, syscall, errno, hint }: StrataError, asked: string, uid: number): string | undefined {
  if (uid === 0) return undefined;
  if (operation === 'clone' && syscall === 'clone3' && errno === ERRNO.EACCES) {
    return 'strata itself has to run in a cgroup that was given to this user, together with the one above it: no process comes in from elsewhere';
  }
  if (operation !== 'cgroup-make' || errno !== ERRNO.EBUSY || asked !== '') return undefined;
  return `${hint ?? ''}; linux.cgroupsPath can name another place, and --systemd-cgroup has systemd make one`.replace(/^; /, '');
}

/** A cgroup that takes no process (cgroup-v2, Threads). */
function threadHint(host: Host, cgroups: readonly CgroupIntent[]): string {
  for (const { hierarchy, path } of cgroups) {
    const file = `${cgroupDirectory(hierarchy, path)}/cgroup.type`;
    const type = host.stat(file) === undefined ? '' : host.readText(file).trim();
    if (type !== '' && type !== 'domain')
      return `the cgroup ${path} is of the type '${type}', because one above it is threaded: a container needs a domain`;
  }
  return 'its cgroup takes no process';
}

export function connectTo(host: Host, path: string, what: string): Descriptor {
  try {
    return host.connect(path);
  } catch (error) {
    if (!(error instanceof StrataError) || error.errno === undefined) throw error;
    throw new StrataError({ code: 'system', stage: 'process', reason: `cannot connect to the ${what} ${path}`, errno: error.errno, path });
  }
}

export function writePidFile(host: Host, path: string, pid: number): void {
  try {
    host.replaceFile(path, String(pid), 0o644);
  } catch (error) {
    // The path in the error is that of a temporary file.
    if (!(error instanceof StrataError) || error.errno === undefined) throw error;
    throw new StrataError({ code: 'system', stage: 'process', reason: `cannot write the pid file ${path}`, errno: error.errno, path });
  }
}

/** `kind` is what runc sends along: `standard` for a container's first process, `setns` for one of exec. */
export function sendPidfd(host: Host, path: string, pidfd: Descriptor, kind: 'standard' | 'setns'): void {
  const socket = connectTo(host, path, 'pidfd socket');
  try {
    host.sendDescriptor(socket, pidfd, kind);
  } finally {
    host.close(socket);
  }
}

/** Descriptors that are to be passed on must have been given to us: those that our own language runtime opened are none of the container's. */
export function checkDescriptors(host: Host, options: Pick<CreateOptions, 'listenFds' | 'preserveFds'>): void {
  const { listenFds = 0, preserveFds = 0 } = options;
  for (let descriptor = 3; descriptor < 3 + listenFds + preserveFds; descriptor++) {
    if (host.isInherited(descriptor)) continue;
    const reason = descriptor < 3 + listenFds ? `LISTEN_FDS is ${listenFds}` : `${preserveFds} descriptors are to be preserved`;
    throw new StrataError({ code: 'usage', stage: 'check', reason: `${reason}, but descriptor ${descriptor} is not open` });
  }
}

/**
 * The record of what is to be destroyed: cgroups that we failed to make are somebody else's, hooks that did not begin need no counterpart. `failure`:
 * of the launch, if that was it.
 */
export function remainsOf(
  record: ContainerRecord,
  operations: readonly Operation[],
  failure: LaunchFailure | undefined,
  hooksBegun: boolean,
): ContainerRecord {
  const last = failure === undefined || failure.operation < 0 ? operations.length : failure.operation;
  const made = operations.flatMap((operation, index) => {
    if (operation.op !== 'cgroup-make' || index > last) return [];
    const foreign = index === last && failure !== undefined && [ERRNO.EEXIST, ERRNO.EBUSY, ERRNO.ENOTEMPTY].some((errno) => errno === failure.errno);
    // With its topmost parent, which nothing else tells where the core's mark cannot be set.
    return foreign ? [] : record.cgroups.filter(({ hierarchy, path }) => hierarchy === operation.hierarchy && path === operation.path);
  });
  const hook = operations.findIndex(({ op }) => op === 'hook');
  const begun = hooksBegun || (failure !== undefined && hook !== -1 && failure.operation >= hook);
  const own = record.rdt?.own.filter((path) => {
    const index = operations.findIndex((operation) => operation.op === 'rdt-make' && operation.path === path);
    return index < last || (index === last && failure?.errno !== ERRNO.EEXIST);
  });
  return { ...record, cgroups: made, hooksBegun: begun, ...(record.rdt && own && { rdt: { ...record.rdt, own } }) };
}

/** The core marks what it makes above the container's cgroup, but not in the same moment: should we die in between, the intent tells. */
export function withTop(host: Host, cgroup: CgroupIntent): CgroupIntent {
  const { hierarchy, path } = cgroup;
  let top: string | undefined;
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
    const parent = path.slice(0, end);
    if (host.stat(cgroupDirectory(hierarchy, parent)) !== undefined) break;
    top = parent;
  }
  return top === undefined ? cgroup : { hierarchy, path, top };
}

/** A cgroup that is in use, or frozen, is somebody else's, and would be killed with the container (config-linux.md#cgroups-path). */
export function checkCgroups(host: Host, record: ContainerRecord): void {
  const fault = { code: 'config-invalid', stage: 'cgroup', pointer: '/linux/cgroupsPath' } as const;
  const directories = cgroupDirectories(record);
  // Signal 0 touches nobody and counts everybody.
  if (host.signalCgroup(directories, 0) > 0) {
    const path = directories.find((directory) => host.signalCgroup([directory], 0) > 0) ?? '';
    throw new StrataError({ ...fault, path, reason: `the cgroup ${path} is not empty: there are processes in it` });
  }
  const taken = record.rdt?.own.find((path) => host.stat(path) !== undefined);
  if (taken !== undefined) {
    throw new StrataError({
      ...fault,
      pointer: '/linux/intelRdt',
      path: taken,
      reason: `the resctrl group ${taken} exists, and is not the container's`,
    });
  }
  const { freezer } = record;
  if (freezer !== undefined && host.stat(freezer.directory) !== undefined && isFrozen(host, freezer)) {
    throw new StrataError({ ...fault, reason: `the cgroup ${freezer.directory} is frozen` });
  }
}
