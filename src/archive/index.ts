/** {@link Archive} on Node. */
import type { Host } from '../host/host.ts';
import type { Archive } from './archive.ts';
import { exportCheckpoint } from './checkpoint-export.ts';
import { importCheckpoint } from './checkpoint-import.ts';
import { exportImages } from './export.ts';
import { fsck } from './fsck.ts';
import { importImages } from './import.ts';
import { unpackLayer } from './unpack-layer.ts';
import { verifyImages } from './verify.ts';

/** Of a terminal that does not say its own. */
const USUAL_WIDTH = 80;

export function createArchive(host: Host): Archive {
  return {
    errorWidth: () => (process.stderr.isTTY ? process.stderr.columns || USUAL_WIDTH : 0),
    importImages: (options) => importImages(host, options),
    unpackLayer: (options) => unpackLayer(host, options),
    exportImages: (options) => exportImages(host, options),
    verifyImages: (options) => verifyImages(host, options),
    fsck: (options) => fsck(host, options),
    exportCheckpoint: (options) => exportCheckpoint(host, options),
    importCheckpoint: (options) => importCheckpoint(host, options),
  };
}
