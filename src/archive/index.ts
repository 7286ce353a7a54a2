/** {@link Archive} on Node. */
import type { Host } from '../host/host.ts';
import type { Archive } from './archive.ts';

export function createArchive(_host: Host): Archive {
  return {};
}
