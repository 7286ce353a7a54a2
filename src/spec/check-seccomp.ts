/** Checks of `linux.seccomp`. */
import { invalid, unsupported } from './refuse.ts';
import type { Spec } from './types.ts';

/** The largest value an action can return, seccomp(2): the kernel cuts an errno off at MAX_ERRNO, a tracer gets 16 bits. */
const MOST_RETURNED: Readonly<Record<string, number>> = { SCMP_ACT_ERRNO: 4095, SCMP_ACT_TRACE: 0xffff };
/** A system call has six arguments. */
const LAST_ARGUMENT = 5;

export function checkSeccomp(spec: Spec): void {
  const seccomp = spec.linux.seccomp;
  if (seccomp === undefined) return;
  const place = '/linux/seccomp';
  if (seccomp.listenerPath !== undefined) unsupported(`${place}/listenerPath`, 'seccomp listeners are not supported');
  if (seccomp.listenerMetadata !== undefined) invalid(`${place}/listenerMetadata`, 'must not be set without listenerPath');
  checkAction(seccomp.defaultAction, `${place}/defaultAction`);
  checkErrno(seccomp.defaultAction, seccomp.defaultErrnoRet, `${place}/defaultErrnoRet`);
  for (const [index, rule] of seccomp.syscalls.entries()) {
    const entry = `${place}/syscalls/${index}`;
    const empty = rule.names.indexOf('');
    if (empty >= 0) invalid(`${entry}/names/${empty}`, 'must not be empty');
    checkAction(rule.action, `${entry}/action`);
    checkErrno(rule.action, rule.errnoRet, `${entry}/errnoRet`);
    for (const [number, arg] of rule.args.entries()) {
      if (arg.index > LAST_ARGUMENT) invalid(`${entry}/args/${number}/index`, `expected an integer from 0 to ${LAST_ARGUMENT}, found ${arg.index}`);
    }
  }
}

function checkAction(action: string, place: string): void {
  if (action === 'SCMP_ACT_NOTIFY') unsupported(place, 'SCMP_ACT_NOTIFY is not supported');
}

function checkErrno(action: string, errno: number | undefined, place: string): void {
  if (errno === undefined) return;
  const most = MOST_RETURNED[action];
  if (most === undefined) invalid(place, `the action ${action} does not return an errno`);
  if (errno > most) invalid(place, `expected an integer from 0 to ${most}, found ${errno}`);
}
