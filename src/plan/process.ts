/** The process: its surroundings, its rights, its program (config.md, Process; config-linux.md for the rest). */
import { StrataError } from '../base/error.ts';
import { pointer } from '../base/pointer.ts';
import { type CapabilityFacts, grantedCapabilities, inUserNamespace } from '../spec/capabilities.ts';
import { cpuMask } from '../spec/check-process.ts';
import { parseNodes } from '../spec/check-scheduling.ts';
import { sysctlPath } from '../spec/check-sysctl.ts';
import { IO_CLASSES, MEMORY_FLAGS, MEMORY_MODES, RLIMITS, SCHEDULER_FLAGS, SCHEDULERS } from '../spec/names.ts';
import { findNamespace } from '../spec/refuse.ts';
import type { Capabilities, Process, Spec } from '../spec/types.ts';
import type { PlanOptions } from './context.ts';
import { isNew } from './namespaces.ts';
import type { Operation, OperationFields } from './op.ts';

/** What execvp(3) searches when PATH is not set. */
const DEFAULT_PATH = '/bin:/usr/bin';
/** For umask: leave it as it is. */
const UNCHANGED = 0xffffffff;
const NO_CAPABILITIES: Capabilities = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] };
type Sets = OperationFields<'capabilities'>;

/** What the process's operations depend on besides the configuration. */
export interface ProcessContext {
  readonly id: string;
  readonly options: Pick<PlanOptions, 'noNewKeyring' | 'listenFds'>;
}

/** Of personality(2). */
const PERSONALITIES = { LINUX: 0, LINUX32: 8 } as const;

/** The working directory is made if it is missing, as engines expect; before the root can become read-only. */
export function workingDirectoryOperations(process: Process): Operation[] {
  return [{ op: 'directory', pointer: '/process/cwd', path: process.cwd, mode: 0o755 }];
}

/** `bind`: the terminal is the container's /dev/console, and not only the process's. */
export function consoleOperations(process: Process, bind: boolean): Operation[] {
  const { uid } = process.user;
  // What root can open needs no other owner.
  if (!process.terminal) return uid === 0 ? [] : [{ op: 'stdio', pointer: '/process/user/uid', uid }];
  const { height = 0, width = 0 } = process.consoleSize ?? {};
  return [{ op: 'console', pointer: '/process/terminal', height, width, uid, bind }];
}

/** What belongs to the container's own namespaces, rather than to its process. */
export function namespaceSettingOperations(spec: Spec): Operation[] {
  const out: Operation[] = [];
  if (spec.hostname !== undefined) out.push({ op: 'hostname', pointer: '/hostname', name: spec.hostname });
  if (spec.domainname !== undefined) out.push({ op: 'domainname', pointer: '/domainname', name: spec.domainname });
  // In a namespace that we join, the interface is not ours to bring up.
  if (isNew(spec, 'network')) out.push({ op: 'loopback-up', pointer: '/linux/namespaces' });
  return out;
}

/** Kernel parameters of the container's namespaces. The core writes them to a procfs of its own, so no mount of the container can be in the way. */
export function sysctlOperations(spec: Spec): Operation[] {
  return Object.entries(spec.linux.sysctl).map(([name, value]) => {
    return { op: 'sysctl', pointer: pointer('/linux/sysctl', name), path: sysctlPath(name), value };
  });
}

/** Settings that need the rights which are about to be dropped. */
export function privilegedOperations(spec: Spec, process: Process, context: ProcessContext): Operation[] {
  const out: Operation[] = [];
  // The name is for keyctl(1) and people. Ids are at most 1024 bytes, the kernel takes 4095.
  const { selinuxLabel } = process;
  if (!context.options.noNewKeyring) {
    // Else it would have the runtime's label, and the process could not use it.
    if (selinuxLabel !== undefined) out.push({ op: 'selinux-label', pointer: '/process/selinuxLabel', attribute: 'keycreate', label: selinuxLabel });
    out.push({ op: 'keyring', pointer: '', name: `_ses.${context.id}` });
  }
  if (process.oomScoreAdj !== undefined) out.push({ op: 'oom-score-adj', pointer: '/process/oomScoreAdj', value: `${process.oomScoreAdj}` });
  if (spec.linux.personality !== undefined) {
    out.push({ op: 'personality', pointer: '/linux/personality/domain', domain: PERSONALITIES[spec.linux.personality.domain] });
  }
  process.rlimits.forEach(({ type, soft, hard }, index) => {
    const at = `/process/rlimits/${index}`;
    out.push({ op: 'rlimit', pointer: at, resource: numberOf(RLIMITS, type), name: type, soft, hard });
  });
  out.push(...labelOperations(process), ...schedulingOperations(spec, process));
  return out;
}

/**
 * Limits come before these: what RLIMIT_NICE and RLIMIT_RTPRIO permit needs no more rights. Labels too: from a deadline on, `exec` is in the container's
 * pid namespace, and has the host's procfs no more.
 */
function schedulingOperations({ linux }: Spec, { scheduler, ioPriority }: Process): Operation[] {
  const out: Operation[] = [];
  const { memoryPolicy } = linux;
  if (memoryPolicy !== undefined) {
    const { mode, nodes = '', flags } = memoryPolicy;
    const number = flags.reduce((bits, flag) => bits | numberOf(MEMORY_FLAGS, flag), numberOf(MEMORY_MODES, mode));
    out.push({ op: 'memory-policy', pointer: '/linux/memoryPolicy', mode: number, nodes, mask: nodeMask(nodes) });
  }
  if (ioPriority !== undefined) {
    const { class: name, priority } = ioPriority;
    out.push({ op: 'io-priority', pointer: '/process/ioPriority', class: numberOf(IO_CLASSES, name), priority });
  }
  if (scheduler !== undefined) {
    const { policy, nice, priority, runtime, deadline, period } = scheduler;
    const flags = scheduler.flags.reduce((bits, flag) => bits | (1n << BigInt(numberOf(SCHEDULER_FLAGS, flag))), 0n);
    const fields = { policy: numberOf(SCHEDULERS, policy), nice: nice >>> 0, priority, flags, runtime, deadline, period };
    out.push({ op: 'scheduler', pointer: '/process/scheduler', ...fields });
  }
  return out;
}

/** Taken on with execve. Here nothing of what the process still has can be in the way: neither no_new_privs, nor a seccomp filter, nor its user's rights. */
function labelOperations({ apparmorProfile, selinuxLabel }: Process): Operation[] {
  const out: Operation[] = [];
  if (apparmorProfile !== undefined) out.push({ op: 'apparmor-profile', pointer: '/process/apparmorProfile', profile: apparmorProfile });
  if (selinuxLabel !== undefined) out.push({ op: 'selinux-label', pointer: '/process/selinuxLabel', attribute: 'exec', label: selinuxLabel });
  return out;
}

function numberOf(numbers: Readonly<Record<string, number>>, name: string): number {
  const number = numbers[name];
  if (number === undefined) throw new StrataError({ code: 'internal', stage: 'plan', reason: `nothing is known of ${name}` });
  return number;
}

function nodeMask(nodes: string): number[] {
  const words: number[] = [];
  if (nodes === '') return words;
  for (const node of parseNodes(nodes, '/linux/memoryPolicy/nodes')) {
    while (words.length <= node >> 5) words.push(0);
    words[node >> 5] = ((words[node >> 5] ?? 0) | (1 << (node & 31))) >>> 0;
  }
  return words;
}

/**
 * The program is looked for after the root is entered and before rights are dropped, so that a wrong name fails create, not start. The directory
 * may be open to root only, or to the user only: hence the second attempt, after `user`.
 */
export function locateOperations(process: Process, env: readonly string[]): Operation[] {
  const search = env.find((item) => item.startsWith('PATH='))?.slice('PATH='.length) ?? DEFAULT_PATH;
  return [
    { op: 'cwd', pointer: '/process/cwd', path: process.cwd, last: false },
    { op: 'executable', pointer: '/process/args/0', file: process.args[0] ?? '', search },
    // Shells and most programs lean on it; engines leave it to the runtime, since it takes the container's own /etc/passwd.
    ...(env.some((item) => item.startsWith('HOME=')) ? [] : [{ op: 'home', pointer: '', uid: process.user.uid } as const]),
  ];
}

/** From root to the user, in this order. The bounding set goes first, because dropping from it needs CAP_SETPCAP. */
export function userOperations(
  spec: Spec,
  process: Process,
  facts: CapabilityFacts,
): { bounding: Operation; user: readonly Operation[]; capabilities: Operation } {
  const masks = capabilityMasks(spec, process, facts);
  const { uid, gid, additionalGids, umask = UNCHANGED } = process.user;
  return {
    bounding: { op: 'bounding', pointer: '/process/capabilities/bounding', bounding: masks.bounding },
    user: [
      { op: 'user', pointer: '/process/user', uid, gid, groups: additionalGids, umask },
      { op: 'cwd', pointer: '/process/cwd', path: process.cwd, last: true },
    ],
    capabilities: { op: 'capabilities', pointer: '/process/capabilities', ...masks.sets },
  };
}

/** `part`: `initial` for the way into the container, `final` for the program (config.md#linux-process, execCPUAffinity). */
export function affinityOperations({ execCPUAffinity }: Process, part: 'initial' | 'final'): Operation[] {
  const list = execCPUAffinity?.[part];
  if (list === undefined) return [];
  const pointer = `/process/execCPUAffinity/${part}`;
  return [{ op: 'cpu-affinity', pointer, mask: cpuMask(list, pointer) }];
}

/** Without `capabilities` the process gets none, as it would with five empty sets. */
function capabilityMasks(spec: Spec, process: Process, facts: CapabilityFacts): { bounding: bigint; sets: Sets } {
  const asked = process.capabilities ?? NO_CAPABILITIES;
  const { masks } = grantedCapabilities(asked, findNamespace(spec, 'user') === undefined ? facts : inUserNamespace(facts));
  // capset(2) refuses to raise in the inheritable set what the bounding set has lost by then; and what is not inheritable cannot be ambient.
  const inheritable = masks.inheritable & masks.bounding;
  const { bounding, effective, permitted } = masks;
  return { bounding, sets: { effective, permitted, inheritable, ambient: masks.ambient & inheritable } };
}

/** Execute the program: the last operation of all. `env` is what comes of {@link uniqueEnvironment}, here and above. */
export function execOperation(spec: Spec, { args }: Process, env: readonly string[], context: ProcessContext): Operation {
  return { op: 'exec', pointer: '/process/args', args, env: env.concat(listenVariables(spec, context)) };
}

/** One entry for each variable, the last one, in its place: getenv(3) finds the first, shells the last, and both must find the same. */
export function uniqueEnvironment(env: readonly string[]): readonly string[] {
  const last = new Map<string, number>();
  for (let index = 0; index < env.length; ++index) last.set(variable(env[index] as string), index);
  return last.size === env.length ? env : env.filter((item, index) => last.get(variable(item)) === index);
}

function variable(item: string): string {
  const end = item.indexOf('=');
  return end === -1 ? item : item.slice(0, end);
}

/** Socket activation, sd_listen_fds(3): the variables name the process that the descriptors are for, which is 1 only in a new pid namespace. */
function listenVariables(spec: Spec, context: ProcessContext): string[] {
  const count = context.options.listenFds;
  if (count === 0) return [];
  return isNew(spec, 'pid') ? [`LISTEN_FDS=${count}`, 'LISTEN_PID=1'] : [`LISTEN_FDS=${count}`];
}
