/** Directories of strata's own. */
import type { ErrorFields } from '../base/error.ts';
import { StrataError } from '../base/error.ts';
import type { Host } from './host.ts';

/**
 * Whether the directory exists. `what`: for the message; `more`: further fields of the error.
 *
 * @throws StrataError `system` if it is no directory of root's or the caller's own, or if others can write to it.
 */
export function hasTrusted(host: Host, directory: string, what: string, more: Pick<ErrorFields, 'stage'> = {}): boolean {
  let status = host.stat(directory);
  if (status?.type === 'symlink') status = host.stat(host.realPath(directory));
  if (status === undefined) return false;
  let fault: string | undefined;
  if (status.type !== 'directory') fault = 'is not a directory';
  else if (status.uid !== 0 && status.uid !== host.userId()) fault = `belongs to user ${status.uid}`;
  else if ((status.mode & 0o022) !== 0) fault = `can be written by others (mode ${status.mode.toString(8)})`;
  if (fault !== undefined) throw new StrataError({ code: 'system', ...more, reason: `${what} ${directory} ${fault}` });
  return true;
}
