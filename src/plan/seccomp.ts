/**
 * The seccomp profile as bytes, for the core to compile and for the key of its cache (config-linux.md, Seccomp). In the form of `encode.ts`:
 *
 *     u32 version · string default action · u32 default errno · strings architectures · strings flags · u32 rules
 *     rule      string action · u32 errno · strings names · u32 arguments
 *     argument  u32 index · u64 value · u64 second value · string operator
 *
 * An errno of 0xffffffff is none: the action's own default, EPERM.
 */

import type { WireValue } from '../host/host.ts';
import type { Seccomp, Spec } from '../spec/types.ts';
import type { PlanContext } from './context.ts';
import { appendList } from './encode.ts';
import type { Operation } from './op.ts';

const VERSION = 1;
const NO_ERRNO = 0xffffffff;

/** Compile the profile, in the runtime's process: the child only loads the result. */
export function seccompCompileOperations(spec: Spec, context: PlanContext): Operation[] {
  const { seccomp } = spec.linux;
  if (seccomp === undefined) return [];
  const { seccompCache, seccompProgram } = context.options;
  return [{ op: 'seccomp-compile', pointer: '/linux/seccomp', profile: encodeSeccomp(seccomp), cache: seccompCache, keep: seccompProgram }];
}

/** Load it; where in the order, `create.ts` knows. */
export function seccompLoadOperations(spec: Spec): Operation[] {
  return spec.linux.seccomp === undefined ? [] : [{ op: 'seccomp-load', pointer: '/linux/seccomp' }];
}

export function encodeSeccomp(seccomp: Seccomp): readonly WireValue[] {
  const values: WireValue[] = [VERSION, seccomp.defaultAction, seccomp.defaultErrnoRet ?? NO_ERRNO];
  appendList(values, seccomp.architectures);
  appendList(values, seccomp.flags);
  values.push(seccomp.syscalls.length);
  for (const { action, errnoRet, names, args } of seccomp.syscalls) {
    values.push(action, errnoRet ?? NO_ERRNO);
    appendList(values, names);
    values.push(args.length);
    for (const { index, value, valueTwo, op } of args) values.push(index, value, valueTwo, op);
  }
  return values;
}
