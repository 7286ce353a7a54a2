/** Records of the store are believed only after a look: a file can be cut short, or be from somebody's hands. */
import type { ErrorCode } from '../base/error.ts';
import { StrataError } from '../base/error.ts';
import { ERRNO, hasCode, hasErrno, messageOf } from '../base/fault.ts';
import type { Reader } from '../spec/reader.ts';
import { readWhole } from '../spec/reader.ts';
import type { Store } from './store.ts';
import { readIfThere } from './store.ts';

/** Bytes; the names of a hundred thousand images fit. */
const LARGEST = 64 * 1024 * 1024;
const CODE: ErrorCode = 'store-damaged';

/** @throws StrataError `store-damaged`. */
export function damaged(what: string, why: string): never {
  throw new StrataError({ code: CODE, reason: `${what} is damaged: ${why}`, hint: 'strata fsck tells more' });
}

/** What can be read, in a list; of what is damaged `fault` gets why. @throws whatever is no damage. */
export function readable<T>(read: () => T | undefined, fault: (text: string) => void): readonly T[] {
  try {
    const value = read();
    return value === undefined ? [] : [value];
  } catch (error) {
    if (!(hasCode(error, CODE) || hasCode(error, 'image-invalid'))) throw error;
    fault(messageOf(error));
    return [];
  }
}

/** A record at `path`, undefined if there is none. `what`: how a message calls it. @throws StrataError `store-damaged`. */
export function readRecord<T>(store: Store, path: string, what: string, read: Reader<T>): T | undefined {
  let source: string | undefined;
  try {
    source = readIfThere(store, path, LARGEST);
  } catch (error) {
    if (hasErrno(error, ERRNO.EFBIG, ERRNO.EILSEQ, ERRNO.EISDIR)) damaged(what, messageOf(error));
    throw error;
  }
  return source === undefined ? undefined : parseRecord(source, what, read);
}

function parseRecord<T>(source: string, what: string, read: Reader<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    damaged(what, 'not valid JSON');
  }
  try {
    return readWhole(read, value, '', CODE);
  } catch (error) {
    if (hasCode(error, CODE)) damaged(what, `${(error as StrataError).pointer}: ${(error as StrataError).reason}`);
    throw error;
  }
}
