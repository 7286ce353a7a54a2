/** Container ids. */
import { StrataError } from '../base/error.ts';

/** Bytes; the alphabet is ASCII, so characters too. The names of files, `strata-ID` for one, end at 255 (NAME_MAX). */
const LONGEST = 248;
const ALPHABET = /^[A-Za-z0-9_+.-]+$/;

/** Whether `id` can name a container: it is also the name of a directory, and may hold no surprise for anyone who prints it. */
export function isId(id: string): boolean {
  return id.length <= LONGEST && ALPHABET.test(id) && id !== '.' && id !== '..';
}

/** @throws StrataError `id-invalid`. */
export function checkId(id: string): void {
  if (isId(id)) return;
  let reason = `invalid container id '${id.length > 64 ? `${id.slice(0, 64)}...` : id}'`;
  if (id === '') reason = 'the container id is empty';
  else if (id.length > LONGEST) reason = `the container id is longer than ${LONGEST} bytes`;
  throw new StrataError({ code: 'id-invalid', reason, hint: 'letters, digits, _ + . and - are allowed, . and .. alone are not' });
}
