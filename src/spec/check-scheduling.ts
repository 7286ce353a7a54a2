/** Checks of `process.scheduler`, `process.ioPriority` and `linux.memoryPolicy`: the rules of the manual pages, which the kernel answers with a bare EINVAL. */
import { invalid, quoted, unsupported } from './refuse.ts';
import type { IoPriority, MemoryPolicy, Process, Scheduler, Spec } from './types.ts';

/** sched(7): the static priorities of the real-time policies. */
const LOWEST_PRIORITY = 1;
const HIGHEST_PRIORITY = 99;
/** sched(7): the kernel's resolution of a deadline's times, in nanoseconds; and the largest that it takes. */
const SHORTEST = 1024n;
const LONGEST = 2n ** 63n - 1n;
const LAST_IO_PRIORITY = 7;
/** The kernel takes a mask of one page, set_mempolicy(2). */
const MOST_NODES = 32768;

export function checkScheduler(scheduler: Scheduler | undefined, pointer: string): void {
  if (scheduler === undefined) return;
  const { policy, nice, priority } = scheduler;
  if (policy === 'SCHED_ISO') unsupported(`${pointer}/policy`, 'SCHED_ISO is not supported: no version of Linux has it');
  if (nice < -20 || nice > 19) invalid(`${pointer}/nice`, `expected an integer from -20 to 19, found ${nice}`);
  const isRealTime = policy === 'SCHED_FIFO' || policy === 'SCHED_RR';
  if (isRealTime && (priority < LOWEST_PRIORITY || priority > HIGHEST_PRIORITY)) {
    invalid(`${pointer}/priority`, `${policy} has priorities from ${LOWEST_PRIORITY} to ${HIGHEST_PRIORITY}, found ${priority}`);
  }
  if (!isRealTime && priority !== 0) invalid(`${pointer}/priority`, `only SCHED_FIFO and SCHED_RR have priorities, not ${policy}`);
  checkDeadline(scheduler, pointer);
}

function checkDeadline(scheduler: Scheduler, pointer: string): void {
  const { policy, runtime, deadline, period } = scheduler;
  for (const key of ['runtime', 'deadline', 'period'] as const) {
    if (policy !== 'SCHED_DEADLINE' && scheduler[key] !== 0n) invalid(`${pointer}/${key}`, `only SCHED_DEADLINE has it, not ${policy}`);
    if (scheduler[key] > LONGEST) invalid(`${pointer}/${key}`, `expected at most ${LONGEST} nanoseconds, found ${scheduler[key]}`);
  }
  if (policy !== 'SCHED_DEADLINE') return;
  if (runtime < SHORTEST) invalid(`${pointer}/runtime`, `SCHED_DEADLINE needs at least ${SHORTEST} nanoseconds, found ${runtime}`);
  if (deadline < runtime) invalid(`${pointer}/deadline`, `${deadline} is less than the runtime ${runtime}`);
  // The kernel takes a period of 0 for the deadline.
  if (period !== 0n && period < deadline) invalid(`${pointer}/period`, `${period} is less than the deadline ${deadline}`);
}

/** sched(7): a process of this policy cannot fork, and hooks of the kind startContainer are run by the container's process. */
export function checkDeadlineHooks({ process, hooks }: Spec): void {
  if (process?.scheduler?.policy !== 'SCHED_DEADLINE' || process.scheduler.flags.includes('SCHED_FLAG_RESET_ON_FORK')) return;
  if (hooks.startContainer.length > 0) {
    invalid('/hooks/startContainer', 'a process of SCHED_DEADLINE can run none, unless it has SCHED_FLAG_RESET_ON_FORK too');
  }
}

export function checkIoPriority(ioPriority: IoPriority | undefined, pointer: string): void {
  if (ioPriority === undefined) return;
  const { priority } = ioPriority;
  if (priority < 0 || priority > LAST_IO_PRIORITY)
    invalid(`${pointer}/priority`, `expected an integer from 0 to ${LAST_IO_PRIORITY}, found ${priority}`);
}

/** What set_mempolicy(2) does with nodes: it may want some, or none. */
const WITHOUT_NODES = ['MPOL_DEFAULT', 'MPOL_LOCAL'];
const WITH_OR_WITHOUT = 'MPOL_PREFERRED';
const WITH_BALANCING = ['MPOL_BIND', 'MPOL_PREFERRED_MANY'];

/** @param memoryNodes the machine's nodes that have memory, in the same form; undefined if the kernel knows no nodes. */
export function checkMemoryPolicy(policy: MemoryPolicy | undefined, memoryNodes: string | undefined): void {
  if (policy === undefined) return;
  const place = '/linux/memoryPolicy';
  const { mode, nodes, flags } = policy;
  if (nodes === undefined) {
    if (!WITHOUT_NODES.includes(mode) && mode !== WITH_OR_WITHOUT) invalid(`${place}/nodes`, `${mode} needs at least one node`);
  } else if (WITHOUT_NODES.includes(mode)) {
    invalid(`${place}/nodes`, `${mode} takes no nodes`);
  }
  checkMemoryFlags(policy, `${place}/flags`);
  if (memoryNodes === undefined) unsupported(place, 'not supported: this kernel has no NUMA memory policies');
  if (nodes === undefined) return;
  const asked = parseNodes(nodes, `${place}/nodes`);
  // Relative ones count within what the process may use, and begin anew at its end.
  if (flags.includes('MPOL_F_RELATIVE_NODES')) return;
  const present = parseNodes(memoryNodes, '');
  for (const node of asked) {
    if (!present.has(node)) invalid(`${place}/nodes`, `this machine has no memory in node ${node}, only in ${memoryNodes}`);
  }
}

function checkMemoryFlags({ mode, nodes, flags }: MemoryPolicy, pointer: string): void {
  for (const [index, flag] of flags.entries()) {
    const place = `${pointer}/${index}`;
    if (flag === 'MPOL_F_NUMA_BALANCING') {
      if (!WITH_BALANCING.includes(mode)) invalid(place, `${flag} is for ${WITH_BALANCING.join(' and ')}, not ${mode}`);
    } else {
      if (nodes === undefined) invalid(place, `${flag} says how nodes are counted, but there are none`);
      if (flags.some((other) => other !== flag && other !== 'MPOL_F_NUMA_BALANCING')) invalid(place, 'nodes are either relative or static, not both');
    }
  }
}

/** The numbers of a list such as `0-3,7`. */
export function parseNodes(list: string, pointer: string): ReadonlySet<number> {
  const out = new Set<number>();
  for (const item of list.split(',')) {
    const [, first, last = first] = /^ *(\d{1,9})(?:-(\d{1,9}))? *$/.exec(item.trim()) ?? [];
    if (first === undefined || Number(last) < Number(first)) invalid(pointer, `expected a list of nodes such as 0-3,7, found ${quoted(list)}`);
    if (Number(last) >= MOST_NODES) invalid(pointer, `the kernel takes nodes up to ${MOST_NODES - 1}, found ${last}`);
    for (let node = Number(first); node <= Number(last); node++) out.add(node);
  }
  return out;
}

/** @param pointer of the process */
export function checkScheduling(process: Process, pointer: string): void {
  checkScheduler(process.scheduler, `${pointer}/scheduler`);
  checkIoPriority(process.ioPriority, `${pointer}/ioPriority`);
}
