/** Checks of `linux.seccomp`. */
import { invalid, unsupported } from './refuse.ts';
import type { Seccomp, Spec } from './types.ts';

/** The largest value an action can return, seccomp(2): the kernel cuts an errno off at MAX_ERRNO, a tracer gets 16 bits. */
const MOST_RETURNED: Readonly<Record<string, number>> = { SCMP_ACT_ERRNO: 4095, SCMP_ACT_TRACE: 0xffff };
const NOTIFY = 'SCMP_ACT_NOTIFY';
/** About the listener, which the kernel takes it with only. */
const LISTENER_FLAG = 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV';
/** A system call has six arguments. */
const LAST_ARGUMENT = 5;

export function checkSeccomp({ linux }: Spec): void {
  if (linux.seccomp !== undefined) checkProfile(linux.seccomp, '/linux/seccomp');
}

/** The checks of a profile by itself; `place` is what pointers in errors begin with. */
export function checkProfile(seccomp: Seccomp, place: string): void {
  if (seccomp.listenerPath === undefined && seccomp.listenerMetadata !== undefined) {
    invalid(`${place}/listenerMetadata`, 'must not be set without listenerPath');
  }
  if (seccomp.defaultAction === NOTIFY) unsupported(`${place}/defaultAction`, `${NOTIFY} cannot be what is done by default`);
  checkErrno(seccomp.defaultAction, seccomp.defaultErrnoRet, `${place}/defaultErrnoRet`);
  const flag = seccomp.flags.indexOf(LISTENER_FLAG);
  if (flag >= 0 && !notifies(seccomp)) invalid(`${place}/flags/${flag}`, `${LISTENER_FLAG} needs a rule with ${NOTIFY}`);
  for (const [index, rule] of seccomp.syscalls.entries()) {
    const entry = `${place}/syscalls/${index}`;
    const empty = rule.names.indexOf('');
    if (empty >= 0) invalid(`${entry}/names/${empty}`, 'must not be empty');
    if (rule.action === NOTIFY && seccomp.listenerPath === undefined) invalid(`${entry}/action`, `${NOTIFY} needs listenerPath`);
    checkErrno(rule.action, rule.errnoRet, `${entry}/errnoRet`);
    for (const [number, arg] of rule.args.entries()) {
      if (arg.index > LAST_ARGUMENT) invalid(`${entry}/args/${number}/index`, `expected an integer from 0 to ${LAST_ARGUMENT}, found ${arg.index}`);
    }
  }
}

/** Whether somebody else is asked about a system call, over the socket at `listenerPath`. */
export function notifies(seccomp: Seccomp): boolean {
  return seccomp.syscalls.some(({ action }) => action === NOTIFY);
}

function checkErrno(action: string, errno: number | undefined, place: string): void {
  if (errno === undefined) return;
  const most = MOST_RETURNED[action];
  if (most === undefined) invalid(place, `the action ${action} does not return an errno`);
  if (errno > most) invalid(place, `expected an integer from 0 to ${most}, found ${errno}`);
}
