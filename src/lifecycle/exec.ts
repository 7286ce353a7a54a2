/** `exec`: one more process in a container. It takes no lock, so that any number can begin at the same time, and leaves the container's record alone. */
import { StrataError, withFields } from '../base/error.ts';
import { parseExact } from '../base/json.ts';
import { mayAdminister, readCapabilities, recentFacts } from '../host/facts.ts';
import type { Descriptor, ExitStatus, Host, Launched, SeccompAgent } from '../host/host.ts';
import { LaunchError } from '../host/host.ts';
import { encode } from '../plan/encode.ts';
import { planExec } from '../plan/exec.ts';
import { CLONE, type Plan } from '../plan/op.ts';
import { type CapabilityFacts, inUserNamespace } from '../spec/capabilities.ts';
import { checkProcess } from '../spec/check-process.ts';
import { parseProcess } from '../spec/parse.ts';
import type { Capabilities, Process } from '../spec/types.ts';
import { agentFor } from './agent.ts';
import { checkDescriptors, connectTo, sendPidfd, writePidFile } from './bring-up.ts';
import { crowdHint } from './cgroup-files.ts';
import { checkTerminal } from './create.ts';
import { cgroupDirectory } from './destroy.ts';
import { securityFor } from './facts.ts';
import { launchError, stepAt } from './failure.ts';
import { ERRNO, hasErrno } from './fault.ts';
import { isFrozen } from './freezer.ts';
import { checkId } from './id.ts';
import { observe } from './observe.ts';
import type { CreateOptions } from './prepare.ts';
import type { ContainerName } from './report.ts';
import { loadSettled } from './state.ts';
import { permit, refusal } from './status.ts';
import type { CgroupIntent, ContainerRecord, RecordedTraits } from './store.ts';
import { CONFINING, confinement, loadProcess, seccompProgram } from './store.ts';

/** What is different from the section that exec starts from. */
export interface ProcessChanges {
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** Added to those of the section. */
  readonly env?: readonly string[];
  readonly terminal?: boolean;
  readonly uid?: number;
  readonly gid?: number;
  /** Added to those of the section. */
  readonly additionalGids?: readonly number[];
  /** Added to the bounding, effective and permitted sets. */
  readonly capabilities?: readonly string[];
  readonly noNewPrivileges?: boolean;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
}

type Handed = 'stdio' | 'console' | 'consoleSocket' | 'pidFile' | 'pidfdSocket' | 'preserveFds' | 'consoleSize' | 'checkpoint';

export interface ExecOptions extends ContainerName, Pick<CreateOptions, Handed> {
  /** The section that it starts from, as a JSON value; that of the container's first process if absent. */
  readonly process?: unknown;
  readonly changes: ProcessChanges;
  /** Cgroups below the container's, as `PATH` for all hierarchies or `CONTROLLER[,CONTROLLER]:PATH`. */
  readonly cgroups?: readonly string[];
  /** Also in a paused container; the process then begins when that is resumed. */
  readonly ignorePaused?: boolean;
}

/** A process that runs its program. */
export interface Executed {
  readonly pid: number;
  /** The caller's to close. */
  readonly pidfd: Descriptor;
  readonly terminal: boolean;
}

/** What pointers in errors point into: FILE of `--process`, or the container's own section with the changes. */
const DOCUMENT = 'exec';

/** The text of a file with a process section, as {@link ExecOptions.process}. @throws StrataError `config-syntax` */
export function readProcess(text: string): unknown {
  try {
    return parseExact(text);
  } catch (error) {
    throw located(error);
  }
}

/** Changes that come from a program, and not from a command line, may be of any shape. @throws StrataError `config-invalid` */
export function checkChanges({ args, cwd = '/', env, uid, gid, additionalGids, capabilities, apparmorProfile, selinuxLabel }: ProcessChanges): void {
  try {
    const user = { uid, gid, additionalGids };
    parseProcess({ args, cwd, env, user, capabilities: { bounding: capabilities }, apparmorProfile, selinuxLabel }, '/process');
  } catch (error) {
    throw located(error);
  }
}

/** Begins the process and returns when its program runs. @throws StrataError of any code; then nothing of the process is left. */
export async function execDetached(host: Host, options: ExecOptions): Promise<Executed> {
  const prepared = await prepareExec(host, options);
  try {
    checkTerminal(prepared.process.terminal, options);
  } catch (error) {
    throw located(error);
  }
  return new Attempt(host, options, prepared).carryOut();
}

/** The same in front of the caller: its terminal or stdio, its signals, its exit status. */
export async function execForeground(host: Host, options: ExecOptions): Promise<ExitStatus> {
  if (options.consoleSocket !== undefined) {
    throw new StrataError({ code: 'usage', stage: 'check', reason: 'cannot use a console socket in the foreground', hint: 'give --detach too' });
  }
  const consoleSize = host.windowSize();
  const prepared = await prepareExec(host, consoleSize === undefined ? options : { ...options, consoleSize });
  const [mine, theirs] = prepared.process.terminal ? host.socketPair() : [-1, -1];
  let master = -1;
  let executed: Executed | undefined;
  try {
    executed = await new Attempt(host, mine === -1 ? options : { ...options, console: theirs }, prepared).carryOut();
    if (mine !== -1) master = await host.receiveDescriptor(mine);
    return await host.foreground(executed.pidfd, master);
  } finally {
    for (const descriptor of [mine, theirs, master, executed?.pidfd ?? -1]) if (descriptor !== -1) host.close(descriptor);
  }
}

interface Prepared {
  readonly process: Process;
  readonly plan: Plan;
  readonly record: ContainerRecord;
}

async function prepareExec(host: Host, options: ExecOptions): Promise<Prepared> {
  const { root, id } = options;
  checkId(id);
  if (options.process === undefined && options.changes.args === undefined) {
    throw new StrataError({ code: 'usage', stage: 'check', reason: 'exec needs a program to run, or a process section that has one' });
  }
  const record = await loadSettled(host, root, id);
  const first = permitted(host, options, record);
  const { traits } = record;
  if (traits === undefined) {
    const reason = `container ${id} was created by a version of strata that had no exec`;
    throw new StrataError({ code: 'config-unsupported', stage: 'state', reason });
  }
  try {
    const process = withConsoleSize(changed(section(host, options, record, traits), options.changes), options.consoleSize);
    const security = securityFor(host, process);
    const facts = { ...readCapabilities(host), ...(security && { security }) };
    checkRights(id, traits, facts);
    const user = (traits.namespaces & CLONE.user) !== 0;
    for (const warning of checkProcess(process, user ? { ...facts, ...inUserNamespace(facts) } : facts)) options.warn?.(warning);
    const { cgroup, tasks } = cgroupFiles(host, record, traits, options);
    const context = {
      id,
      facts,
      traits,
      ...first,
      cgroup,
      tasks: record.rdt === undefined ? tasks : tasks.concat(record.rdt.tasks),
      seccompProgram: seccompProgram(root, id),
    };
    const plan = planExec(process, context);
    options.debug?.(`planned ${plan.operations.length} operations`);
    return { process, plan, record };
  } catch (error) {
    throw located(error);
  }
}

/** Whoever is not root may enter a container only where a user namespace gives the right to. */
function checkRights(id: string, { namespaces }: RecordedTraits, facts: CapabilityFacts): void {
  if ((namespaces & CLONE.user) !== 0 || mayAdminister(facts)) return;
  const reason = `exec in container ${id} needs root: it has no user namespace`;
  throw new StrataError({ code: 'system', stage: 'check', reason, errno: ERRNO.EPERM });
}

/** The container's first process, if its status permits exec. */
function permitted(host: Host, options: ExecOptions, record: ContainerRecord): { pid: number; startTime: bigint } {
  const { root, id, ignorePaused = false } = options;
  const verb = ignorePaused ? 'exec-paused' : 'exec';
  // That the process lives is for the launch to find out, which opens it in any case.
  if (record.process === undefined || record.status === 'creating' || (!ignorePaused && isFrozen(host, record.freezer))) {
    permit(verb, observe(host, root, record, false).status, id);
  }
  if (record.process === undefined) permit(verb, 'stopped', id);
  return record.process as NonNullable<ContainerRecord['process']>;
}

/** The section that exec starts from, without the changes. */
function section(host: Host, options: ExecOptions, record: ContainerRecord, traits: RecordedTraits): Process {
  if (options.process !== undefined) {
    const given = parseProcess(options.process, '/process');
    const missing = traits.confined & ~confinement(given);
    return missing === 0 ? given : { ...given, ...confining(ownProcess(host, options, record), missing) };
  }
  return ownProcess(host, options, record);
}

/** The section with which the container was created. */
function ownProcess(host: Host, { root, id }: ExecOptions, record: ContainerRecord): Process {
  const own = loadProcess(host, root, id);
  if (own !== undefined) return own;
  // A delete removes the state last.
  if (record.startSteps.some(({ op }) => op === 'exec')) permit('exec', 'stopped', id);
  throw new StrataError({ code: 'usage', stage: 'check', reason: `container ${id} was created without process; give one with --process` });
}

/** Those of these properties that the bits stand for, see {@link confinement}. */
function confining(process: Process, bits: number): Partial<Process> {
  return Object.fromEntries(CONFINING.filter((_, bit) => (bits & (1 << bit)) !== 0).map((key) => [key, process[key]]));
}

/** The section with the changes; it is the caller's to check. */
function changed(process: Process, changes: ProcessChanges): Process {
  const { args, cwd, env = [], terminal, uid, gid, additionalGids = [], capabilities = [], noNewPrivileges, apparmorProfile, selinuxLabel } = changes;
  const { user } = process;
  return {
    ...process,
    ...(args !== undefined && { args }),
    ...(cwd !== undefined && { cwd }),
    ...(env.length > 0 && { env: process.env.concat(env) }),
    ...(terminal !== undefined && { terminal }),
    user: {
      ...user,
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
      additionalGids: user.additionalGids.concat(additionalGids),
    },
    ...(capabilities.length > 0 && { capabilities: withCapabilities(process.capabilities, capabilities) }),
    ...(noNewPrivileges !== undefined && { noNewPrivileges }),
    ...(apparmorProfile !== undefined && { apparmorProfile }),
    ...(selinuxLabel !== undefined && { selinuxLabel }),
  };
}

/** Not to the inheritable set, and so not to the ambient one: what its user executes is not to have more than it has itself (CVE-2022-29162). */
function withCapabilities(own: Capabilities | undefined, more: readonly string[]): Capabilities {
  const { bounding = [], effective = [], permitted = [], inheritable = [], ambient = [] } = own ?? {};
  return { bounding: bounding.concat(more), effective: effective.concat(more), permitted: permitted.concat(more), inheritable, ambient };
}

function withConsoleSize(process: Process, consoleSize: ExecOptions['consoleSize']): Process {
  return consoleSize === undefined ? process : { ...process, consoleSize };
}

/** Where the process goes: the container's cgroups, or those below that were asked for. */
function cgroupFiles(
  host: Host,
  { cgroups, freezer }: ContainerRecord,
  { unified }: RecordedTraits,
  { cgroups: asked = [], ignorePaused = false }: ExecOptions,
): { cgroup: string; tasks: readonly string[] } {
  const below = asked.length === 0 ? undefined : subCgroups(host, cgroups, asked);
  const tasks: string[] = [];
  let cgroup = '';
  for (let index = 0; index < cgroups.length; ++index) {
    const { hierarchy, path } = cgroups[index] as CgroupIntent;
    const directory = cgroupDirectory(hierarchy, path) + (below?.[index] ?? '');
    if (!unified || index !== cgroups.length - 1) tasks[index] = `${directory}/tasks`;
    // A process that is born frozen would hold up the one that clones it, which no signal would reach: so it goes in by itself.
    else if (ignorePaused && freezer?.version === 2) tasks[index] = `${directory}/cgroup.procs`;
    else cgroup = directory;
  }
  return { cgroup, tasks };
}

/** For each of the container's cgroups, what `--cgroup` adds to its directory. @throws StrataError `usage` */
function subCgroups(host: Host, cgroups: readonly CgroupIntent[], asked: readonly string[]): string[] {
  const below = cgroups.map(() => '');
  const wrong = (text: string, why: string): never => {
    throw new StrataError({ code: 'usage', stage: 'check', reason: `--cgroup ${text}: ${why}` });
  };
  const first = asked[0] ?? '';
  if (asked.length === 1 && !first.includes(':')) return below.fill(subPath(first, wrong));
  const { hierarchies, unified } = recentFacts(host).cgroup;
  for (const text of asked) {
    const colon = text.indexOf(':');
    if (colon === -1) wrong(text, 'more than one needs CONTROLLER: before each path');
    const path = subPath(text.slice(colon + 1), (_, why) => wrong(text, why));
    for (const controller of text.slice(0, colon).split(',')) {
      const place = [...hierarchies, ...(unified === undefined ? [] : [unified])].find(({ controllers }) => controllers.includes(controller));
      const index = cgroups.findIndex(({ hierarchy }) => hierarchy === place?.mount);
      if (index === -1) wrong(text, `the container has no cgroup of a controller '${controller}'`);
      if (below[index] !== '') wrong(text, `the hierarchy of '${controller}' is given twice`);
      below[index] = path;
    }
  }
  return below;
}

/** `/PATH`, without a way up. */
function subPath(path: string, wrong: (text: string, why: string) => never): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) wrong(path, 'the path must not lead out of the container’s cgroup');
  return parts.length === 0 ? '' : `/${parts.join('/')}`;
}

/** One attempt, and what it has achieved so far. */
class Attempt {
  private readonly host: Host;
  private readonly options: ExecOptions;
  private readonly prepared: Prepared;
  private launched: Launched | undefined;
  private pidFileWritten = false;

  constructor(host: Host, options: ExecOptions, prepared: Prepared) {
    this.host = host;
    this.options = options;
    this.prepared = prepared;
  }

  async carryOut(): Promise<Executed> {
    const { host, options, prepared } = this;
    const { pidFile, pidfdSocket } = options;
    checkDescriptors(host, options);
    try {
      options.checkpoint?.();
      this.launched = await this.launch();
      const { pid, pidfd } = this.launched;
      if (pidFile !== undefined) {
        writePidFile(host, pidFile, pid);
        this.pidFileWritten = true;
      }
      if (pidfdSocket !== undefined) sendPidfd(host, pidfdSocket, pidfd, 'setns');
      await host.awaitExecution(this.launched, this.agent(pid));
      return { pid, pidfd, terminal: prepared.process.terminal };
    } catch (error) {
      throw await this.undo(error);
    }
  }

  /** Who is asked about this process's system calls: the container's agent. */
  private agent(pid: number): SeccompAgent | undefined {
    const { host, options, prepared } = this;
    if (prepared.record.listener === undefined) return undefined;
    return agentFor(prepared.record, pid, observe(host, options.root, prepared.record, false).status);
  }

  /**
   * On cgroup v2 a container may keep its processes in cgroups below its own, which then takes none, or elsewhere, and systemd removes the one that is
   * empty: that of its first process is next best.
   */
  private async launch(): Promise<Launched> {
    const { host, options, prepared } = this;
    try {
      return await this.begin(prepared.plan);
    } catch (error) {
      const failure = error instanceof LaunchError ? error.failure : undefined;
      const isUnfit = failure?.errno === ERRNO.EBUSY || (failure?.errno === ERRNO.ENOENT && failure.syscall === 'open');
      const enter = isUnfit ? prepared.plan.operations[failure.operation] : undefined;
      if (enter?.op !== 'enter' || enter.cgroup === '' || (options.cgroups ?? []).length > 0) throw error;
      const cgroup = ownCgroup(host, enter.pid);
      if (cgroup === undefined) throw error;
      options.debug?.(`${enter.cgroup} takes no process; trying ${cgroup}`);
      return this.begin({ operations: prepared.plan.operations.map((operation) => (operation === enter ? { ...enter, cgroup } : operation)) });
    }
  }

  private async begin(plan: Plan): Promise<Launched> {
    const { host, options, prepared } = this;
    const { stdio = [0, 1, 2], preserveFds = 0, consoleSocket } = options;
    const connected = consoleSocket === undefined ? -1 : connectTo(host, consoleSocket, 'console socket');
    try {
      const console = connected !== -1 ? connected : ((prepared.process.terminal ? options.console : undefined) ?? -1);
      return await host.launch(encode(plan), { stdio, preserve: preserveFds, console, start: -1 });
    } finally {
      if (connected !== -1) host.close(connected);
    }
  }

  private async undo(cause: unknown): Promise<unknown> {
    const { host, options, prepared } = this;
    if (this.launched !== undefined) await host.abandon(this.launched);
    if (this.pidFileWritten && options.pidFile !== undefined) host.removeFile(options.pidFile);
    if (!(cause instanceof LaunchError)) return cause;
    const { failure } = cause;
    // Whatever it was that a container on its way out did not have any more: its end is the reason.
    const step = stepAt(prepared.plan, failure.operation);
    const dying = step === undefined || step.op === 'enter' || failure.syscall === 'clone3';
    const reason = (await isEnding(host, prepared.record, dying ? PATIENCE : 0)) ? refusal('exec', 'stopped', options.id) : undefined;
    if (reason !== undefined) return new StrataError({ code: 'status', stage: 'state', reason });
    const error = launchError(failure, step);
    // One that joins, and the one that it clones into the pid namespace: nobody is moved in from outside there, where the container's own could hold on
    // to it (ptrace(2)) while it is in no limits yet.
    const hint = failure.errno === ERRNO.EAGAIN ? crowdHint(host, prepared.record.cgroups, 2) : undefined;
    return located(hint === undefined ? error : withFields(error, { hint }));
  }
}

/** Milliseconds in which the first process of a container begins to end that was killed together with another. */
const PATIENCE = 100;
const PAUSE = 5;

/**
 * Whether the container's first process has ended, or begins to within `patience` milliseconds. The end itself can take long: that of a pid namespace
 * waits until all others in it have been reaped.
 */
async function isEnding(host: Host, { process }: ContainerRecord, patience: number): Promise<boolean> {
  const end = host.now() + patience;
  for (;;) {
    const pidfd = process && host.openProcess(process.pid, process.startTime);
    if (process === undefined || pidfd === undefined) return true;
    try {
      if (isExiting(host, process.pid)) return true;
    } finally {
      host.close(pidfd);
    }
    if (host.now() >= end) return false;
    await host.sleep(PAUSE);
  }
}

/** PF_EXITING in field 9 of /proc/PID/stat, which the program's name may stand in front of with anything in it. */
function isExiting(host: Host, pid: number): boolean {
  try {
    const text = host.readText(`/proc/${pid}/stat`);
    return (Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[6]) & 0x4) !== 0;
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT, ERRNO.ESRCH)) return true;
    throw error;
  }
}

/** Host path of the v2 cgroup that a process is in; undefined if it is gone. */
function ownCgroup(host: Host, pid: number): string | undefined {
  let text: string;
  try {
    text = host.readText(`/proc/${pid}/cgroup`);
  } catch (error) {
    if (hasErrno(error, ERRNO.ENOENT, ERRNO.ESRCH)) return undefined;
    throw error;
  }
  const path = /^0::(\/.*)$/m.exec(text)?.[1];
  const mount = recentFacts(host).cgroup.unified?.mount;
  return path === undefined || mount === undefined ? undefined : cgroupDirectory(mount, path);
}

function located(error: unknown): unknown {
  return error instanceof StrataError && error.pointer !== undefined ? withFields(error, { document: DOCUMENT }) : error;
}
