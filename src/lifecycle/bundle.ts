/** Reading a bundle: the directory, and its config.json. */
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { fromBundle } from '../overlay/path.ts';
import { MAX_SPEC_LENGTH } from '../spec/parse.ts';
import { ERRNO, hasErrno } from './fault.ts';

/** The absolute path of a bundle without symbolic links, '' meaning the working directory. @throws StrataError `usage` if it is no directory. */
export function resolveBundle(host: Host, bundle: string): string {
  const path = fromBundle(host.workingDirectory(), bundle);
  let real: string;
  try {
    real = host.realPath(path);
  } catch (error) {
    if (!(error instanceof StrataError) || error.errno === undefined) throw error;
    throw new StrataError({ code: 'usage', stage: 'load', reason: `cannot open the bundle ${path}`, errno: error.errno });
  }
  if (host.stat(real)?.type !== 'directory') throw new StrataError({ code: 'usage', stage: 'load', reason: `the bundle ${path} is not a directory` });
  return real;
}

/** The text of a configuration, which is a bundle's config.json if nobody names another file. */
export function readConfig(host: Host, path: string): string {
  try {
    return host.readText(path, MAX_SPEC_LENGTH);
  } catch (error) {
    const fault = { code: 'config-syntax', stage: 'load', pointer: '' } as const;
    if (hasErrno(error, ERRNO.EFBIG)) throw new StrataError({ ...fault, reason: `is larger than ${MAX_SPEC_LENGTH / 1024 / 1024} MiB` });
    if (hasErrno(error, ERRNO.EILSEQ)) throw new StrataError({ ...fault, reason: 'is not UTF-8 text' });
    if (!(error instanceof StrataError) || error.errno === undefined) throw error;
    const hint = hasErrno(error, ERRNO.ENOENT) ? { hint: 'a bundle is a directory with a config.json; strata spec makes one' } : {};
    throw new StrataError({ code: 'system', stage: 'load', reason: `cannot read ${path}`, errno: error.errno, path, ...hint });
  }
}
