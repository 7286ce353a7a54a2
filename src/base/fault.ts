/** Small questions about errors that came up from below. */
import { StrataError } from './error.ts';

/** errno numbers that strata decides by. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  ENOEXEC: 8,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  EPIPE: 32,
  ENOTEMPTY: 39,
  EILSEQ: 84,
  EOPNOTSUPP: 95,
  ECONNRESET: 104,
  ECONNREFUSED: 111,
} as const;

/** Whether `error` is the kernel's refusal with one of these numbers. */
export function hasErrno(error: unknown, ...numbers: readonly number[]): boolean {
  return error instanceof StrataError && error.errno !== undefined && numbers.includes(error.errno);
}

/** Whether `error` came from a file of a cgroup that is gone: ENOENT at its open, ENODEV when the cgroup was removed between that and the read. */
export function isCgroupGone(error: unknown): boolean {
  return hasErrno(error, ERRNO.ENOENT, ERRNO.ENODEV);
}

/** Whether `error` is a StrataError of this code. */
export function hasCode(error: unknown, code: StrataError['code']): boolean {
  return error instanceof StrataError && error.code === code;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
