/** Small questions about errors that came up from below. */
import { StrataError } from '../base/error.ts';

/** errno numbers that the lifecycle decides by. */
export const ERRNO = {
  ENOENT: 2,
  ENOEXEC: 8,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EISDIR: 21,
  EFBIG: 27,
  ENOTEMPTY: 39,
  EILSEQ: 84,
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

/** Any thrown value as a StrataError; one that is none is a fault of ours. */
export function asStrataError(error: unknown): StrataError {
  return error instanceof StrataError ? error : new StrataError({ code: 'internal', reason: `internal error: ${messageOf(error)}` });
}
