/** Small questions about errors that came up from below. */
import { isOutOfMemory, isStackOverflow, StrataError } from '../base/error.ts';

/** errno numbers that the lifecycle decides by. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  ENOEXEC: 8,
  EAGAIN: 11,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOTEMPTY: 39,
  EILSEQ: 84,
  EOPNOTSUPP: 95,
  ECONNREFUSED: 111,
} as const;

/** Whether `error` is the kernel's refusal with one of these numbers. */
export function hasErrno(error: unknown, ...numbers: readonly number[]): boolean {
  return error instanceof StrataError && error.errno !== undefined && numbers.includes(error.errno);
}

/** Whether `error` is a StrataError of this code. */
export function hasCode(error: unknown, code: StrataError['code']): boolean {
  return error instanceof StrataError && error.code === code;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** most_memory of native/cli/main.cpp; on Node there is no such limit, and no error either. */
const MEMORY = '256 MiB';

/** An exception that nobody foresaw is a fault of ours, unless it is a want of memory or stack. `hint`: what else the user is to know. */
export function internalError(error: unknown, hint?: string): StrataError {
  let what = messageOf(error);
  if (isOutOfMemory(error)) what = `out of memory: this needs more than the ${MEMORY} that strata allows itself; is config.json too large?`;
  else if (isStackOverflow(error)) what = 'out of stack: something is nested too deeply; is it config.json?';
  return new StrataError({ code: 'internal', reason: `internal error: ${what}`, ...(hint !== undefined && { hint }) });
}
