/** What a container has written, as the archive of a layer: read once, and unpacked beside it at the same time. */
import type { FinishedLayer } from '../host/host.ts';
import { LayerArchiveWriter } from '../layer/archive-writer.ts';
import { RecordReader } from '../layer/records.ts';
import type { Store } from '../store/store.ts';
import type { WritableLayer } from './writable.ts';

/** Where it goes, and what is said on the way. */
export interface LayerWork {
  /** An empty directory for the layer. */
  readonly directory: string;
  /** A file that does not exist, for the archive compressed with gzip. */
  readonly archive: string;
  /** Seconds since 1970: later times of modification become this one. */
  readonly latest: number | undefined;
  /** Called often; what it throws ends the work. */
  readonly check: () => void;
  /** Gets what is left out, one line each. */
  readonly warn: (text: string) => void;
}

/** The layer and its archive. */
export interface MadeLayer extends FinishedLayer {
  readonly entries: number;
  /** Bytes of file content. */
  readonly size: number;
}

/** @throws StrataError `config-unsupported` for what no layer can hold, `system`, and what `check` throws; what is on the disk stays. */
export async function archiveLayer({ host }: Store, written: WritableLayer, work: LayerWork): Promise<MadeLayer> {
  const { upper, lower, destinations, userAttributes } = written;
  const { latest, directory, archive, check, warn } = work;
  const layer = await host.beginNewLayer({ upper, lower, destinations, userAttributes, latest, directory, archive });
  try {
    const writer = new LayerArchiveWriter((part) => {
      // A single hole can be larger than any disk.
      check();
      return host.writeArchive(layer, part);
    });
    for (;;) {
      const batch = await host.nextRecords(layer);
      check();
      if (batch === undefined) break;
      const reader = new RecordReader(batch);
      for (let record = reader.next(); record !== undefined; record = reader.next()) await writer.add(record);
    }
    await writer.finish();
    const finished = await host.finishNewLayer(layer);
    const { sockets, socket, attributes, attribute } = finished;
    if (sockets > 0) warn(`sockets cannot be in a layer and are left out: ${sockets}, such as /${socket}`);
    if (attributes > 0) warn(`extended attributes that cannot be in a layer are left out: ${attributes}, such as ${attribute}`);
    return { ...finished, entries: writer.entries, size: writer.total };
  } finally {
    host.endNewLayer(layer);
  }
}
