import type { Archive } from '../../src/archive/archive.ts';

/** For command lines that have no need of archives. */
export function noArchive(): Archive {
  throw new Error('the command asked for archives');
}
