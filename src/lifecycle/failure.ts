/** From the core's record of a failure, and the plan's operation it belongs to, to an error in words. */
import type { ErrorFields, Stage } from '../base/error.ts';
import { StrataError } from '../base/error.ts';
import type { LaunchFailure } from '../host/host.ts';
import type { Operation, OperationName, Plan } from '../plan/op.ts';
import { IO_CLASSES, SCHEDULERS } from '../spec/names.ts';
import { ERRNO } from './fault.ts';
import type { Step } from './store.ts';

/** The operation at `index` of a plan, as a step; undefined if there is none. */
export function stepAt(plan: Plan, index: number): Step | undefined {
  const operation = plan.operations[index];
  return operation && stepOf(operation, index);
}

/** The steps that are carried out after `ready`: those that `start` must be able to name. */
export function startSteps(plan: Plan): Step[] {
  // From behind, where it is.
  const ready = plan.operations.findLastIndex((operation) => operation.op === 'ready');
  return plan.operations.slice(ready + 1).map((operation, at) => stepOf(operation, ready + 1 + at));
}

/** The error that a rejected launch, proceed or start stands for. `step`: the operation that failed, if the failure names one. */
export function launchError(failure: LaunchFailure, step: Step | undefined): StrataError {
  // The second process of `exec` is made when its first step comes, which has nothing to do with it.
  const isUnmade = failure.syscall === 'clone3' && step?.op !== 'clone' && step?.op !== 'enter';
  if (step === undefined || isUnmade) return new StrataError({ code: 'system', stage: 'clone', ...outsidePlan(failure) });
  const fields = {
    ...(step.pointer !== '' && { pointer: step.pointer }),
    stage: stageOf(step.op),
    operation: step.op,
    ...(failure.syscall !== '' && { syscall: failure.syscall }),
  };
  if (step.op === 'executable' || step.op === 'exec') return execError(failure, step, fields);
  if (step.op === 'hook') {
    // How a hook ended says more than the errno of the call that told so.
    const cause = failure.detail === '' ? numbered(failure) : {};
    const reason = failure.detail === '' ? `${step.words} failed` : `${step.words} failed: ${failure.detail}`;
    return new StrataError({ code: 'hook', ...fields, path: step.program, reason, ...cause });
  }
  if (failure.syscall === 'init') return new StrataError({ code: 'system', ...fields, ...outsidePlan(failure) });
  return new StrataError({
    code: step.op === 'seccomp-compile' && failure.errno === ERRNO.EOPNOTSUPP ? 'config-unsupported' : 'system',
    ...fields,
    reason: `cannot ${step.words}${object(failure, step.words)}`,
    ...located(failure),
    ...numbered(failure),
    ...detailed(failure),
    ...(step.op === 'scheduler' && failure.errno === ERRNO.EPERM && { hint: SCHEDULER_HINT }),
    ...(step.op === 'cgroup-write' && failure.errno === ERRNO.EINVAL && failure.path.endsWith(CPUS) && { hint: CPUS_HINT }),
  });
}

/** The kernel has one errno for two reasons. */
const SCHEDULER_HINT =
  'real-time policies need CAP_SYS_NICE outside of user namespaces, and resources.cpu.realtimeRuntime where v1 cgroups limit them';

/** The file of a cgroup that has its CPUs, and what EINVAL from it means. */
export const CPUS = '/cpuset.cpus';
export const CPUS_HINT = 'it is no list of CPUs, or a cgroup beside this one has some of them to itself';

/** What the call was about, where the words do not say so already. */
function object({ path }: LaunchFailure, words: string): string {
  return path === '' || words.includes(path) ? '' : `: ${path}`;
}

function numbered(failure: LaunchFailure): { errno?: number } {
  return failure.errno === 0 ? {} : { errno: failure.errno };
}

function located(failure: LaunchFailure): { path?: string } {
  return failure.path === '' ? {} : { path: failure.path };
}

function detailed(failure: LaunchFailure): { hint?: string } {
  return failure.detail === '' ? {} : { hint: failure.detail };
}

/** A failure of no operation in particular; `init` as the call means that the new process ended before it could say why. */
function outsidePlan(failure: LaunchFailure): Pick<ErrorFields, 'reason' | 'hint' | 'path' | 'errno' | 'syscall'> {
  if (failure.syscall !== 'init') {
    const reason = `the container's process cannot be set up or reached: ${failure.syscall}`;
    const hint = failure.syscall === 'clone3' && failure.errno === ERRNO.EAGAIN ? { hint: 'is the pids limit reached?' } : detailed(failure);
    return { reason, syscall: failure.syscall, ...located(failure), ...numbered(failure), ...hint };
  }
  const killed = /\b(SIGKILL|signal 9|killed)\b/i.test(failure.detail);
  return {
    reason: `the new process ended while it was set up${failure.detail === '' ? '' : `: ${failure.detail}`}`,
    syscall: failure.syscall,
    ...numbered(failure),
    ...(killed && { hint: 'is the memory limit too low?' }),
  };
}

/** Engines tell a bad command (status 127 or 126) from other failures by these words. */
function execError(failure: LaunchFailure, step: Step, fields: Partial<ErrorFields>): StrataError {
  const program = `exec: "${step.program}"`;
  if (step.op === 'executable' && failure.errno === ERRNO.ENOENT) {
    if (!step.program.includes('/')) return new StrataError({ code: 'exec', ...fields, reason: `${program}: executable file not found in $PATH` });
    return new StrataError({ code: 'exec', ...fields, path: step.program, reason: `${program}: stat ${step.program}`, errno: failure.errno });
  }
  // What execve(2) says of a directory; docker 20.10 gives status 126 for these words only.
  if (failure.errno === ERRNO.EISDIR)
    return new StrataError({ code: 'exec', ...fields, path: step.program, reason: `${program}: is a directory`, errno: ERRNO.EACCES });
  return new StrataError({ code: 'exec', ...fields, path: step.program, reason: program, ...numbered(failure), ...detailed(failure) });
}

function stageOf(op: OperationName): Stage {
  switch (op) {
    case 'cgroup-make':
    case 'cgroup-write':
    case 'cgroup-device-program':
    case 'cgroup-own':
    case 'rdt-make':
    case 'cpuset-claim':
    case 'cpuset-check':
      return 'cgroup';
    case 'clone':
    case 'id-map-helper':
      return 'clone';
    case 'enter':
    case 'hostname':
    case 'domainname':
    case 'loopback-up':
    case 'net-device':
    case 'sysctl':
      return 'namespace';
    case 'hook':
    case 'runtime-hooks':
      return 'hook';
    case 'host-bind':
    case 'propagation':
    case 'root-bind':
    case 'root-overlay':
    case 'mount-label':
    case 'mount':
    case 'bind':
    case 'remount':
    case 'directory':
    case 'symlink':
    case 'device':
    case 'console':
    case 'mask':
    case 'readonly':
    case 'root-readonly':
    case 'pivot':
      return 'rootfs';
    case 'ready':
      return 'start';
    default:
      return 'process';
  }
}

function stepOf(operation: Operation, index: number): Step {
  return { index, op: operation.op, pointer: operation.pointer, words: wordsOf(operation), program: programOf(operation) };
}

function programOf(operation: Operation): string {
  if (operation.op === 'executable') return operation.file;
  if (operation.op === 'hook') return operation.path;
  if (operation.op === 'exec') return operation.args[0] ?? '';
  return '';
}

/** What an operation does, as the end of 'cannot …'. */
function wordsOf(operation: Operation): string {
  switch (operation.op) {
    case 'cgroup-make':
      return `make the cgroup ${operation.hierarchy}${operation.path}`;
    case 'cgroup-write':
      return `write ${shown(operation.value)} to ${operation.path}`;
    case 'cgroup-device-program':
      return `attach the device rules to ${operation.path}`;
    case 'cgroup-own':
      return `give the cgroup ${operation.directory} to user ${operation.uid}`;
    case 'rdt-make':
      return `make the resctrl group ${operation.path}`;
    case 'cpuset-claim':
      return `have the CPUs ${shown(operation.cpus)}`;
    case 'cpuset-check':
      return `have what ${operation.path} says`;
    case 'seccomp-compile':
      return operation.profile.length === 0 ? "take the container's seccomp program" : 'compile the seccomp profile';
    case 'clone':
      return operation.join.length > 0 ? "make the container's process and join namespaces" : "make the container's process";
    case 'enter':
      return "join the container's namespaces and cgroups";
    case 'id-map-helper':
      return `map ids with ${operation.program}`;
    case 'host-bind':
      return `bind ${operation.source} to ${operation.directory}`;
    case 'propagation':
      return 'set the propagation of the root mount';
    case 'root-bind':
      return `take ${operation.path} as the root file system`;
    case 'root-overlay':
      return `mount the overlay of ${operation.lower.length} layers`;
    case 'mount':
      return `mount ${operation.type} at ${operation.destination}`;
    case 'bind':
      return `bind ${operation.source} to ${operation.destination}`;
    case 'remount':
      return `change the mount at ${operation.destination}`;
    case 'directory':
      return `make the directory ${operation.path}`;
    case 'symlink':
      return `make the symbolic link ${operation.path}`;
    case 'device':
      return `make the device ${operation.path}`;
    case 'console':
      return 'set up the terminal';
    case 'stdio':
      return `give standard input and output to user ${operation.uid}`;
    case 'hook':
      return `${operation.kind} hook ${operation.path}`;
    case 'mask':
      return `mask ${operation.path}`;
    case 'readonly':
      return `make ${operation.path} read-only`;
    case 'sysctl':
      return `set the kernel parameter ${operation.path} to ${shown(operation.value)}`;
    case 'root-readonly':
      return 'make the root file system read-only';
    case 'pivot':
      return 'enter the root file system';
    case 'hostname':
      return `set the host name to ${operation.name}`;
    case 'domainname':
      return `set the domain name to ${operation.name}`;
    case 'loopback-up':
      return 'bring up the loopback interface';
    case 'keyring':
      return 'join the session keyring';
    case 'oom-score-adj':
      return `set the OOM score adjustment to ${operation.value}`;
    case 'rlimit':
      return `set ${operation.name} to ${operation.soft}, at most ${operation.hard}`;
    case 'cwd':
      return `change to the working directory ${operation.path}`;
    case 'cpu-affinity':
      return 'set the CPU affinity';
    case 'no-new-privileges':
      return 'set no_new_privs';
    case 'seccomp-load':
      return 'load the seccomp program';
    case 'bounding':
      return 'drop capabilities from the bounding set';
    case 'user':
      return `become user ${operation.uid}, group ${operation.gid}`;
    case 'capabilities':
      return 'set the capabilities';
    case 'personality':
      return 'set the personality';
    case 'scheduler':
      return `set the scheduling policy to ${Object.keys(SCHEDULERS)[operation.policy]}`;
    case 'io-priority':
      return `set the I/O priority to ${operation.priority} of ${Object.keys(IO_CLASSES)[operation.class]}`;
    case 'memory-policy':
      return operation.nodes === '' ? 'set the memory policy' : `set the memory policy for the nodes ${operation.nodes}`;
    // Engines look for the file between backticks.
    case 'apparmor-profile':
      return `take on the AppArmor profile ${operation.profile} through \`/proc/thread-self/attr/apparmor/exec\``;
    case 'selinux-label':
      return `take on the SELinux label ${operation.label} through \`/proc/thread-self/attr/${operation.attribute}\``;
    case 'mount-label':
      return `label file systems ${operation.label}`;
    case 'runtime-hooks':
    case 'ready':
      return 'wait for the runtime';
    case 'net-device':
      return `move the network device ${operation.name} into the container`;
    case 'home':
      return `find the home directory of user ${operation.uid}`;
    case 'executable':
      return `find ${operation.file}`;
    case 'exec':
      return `execute ${operation.args[0] ?? ''}`;
  }
}

/** A value of the configuration, short enough for one line. */
function shown(value: string): string {
  const text = value.trimEnd();
  return text.length > 80 ? `'${text.slice(0, 80)}...'` : `'${text}'`;
}
