/** `layer unpack`: one layer into a plain directory, whiteouts carried out. */
import type { Host } from '../host/host.ts';
import { DEFAULT_LIMITS } from '../layer/filter.ts';
import { passLayer } from './apply.ts';
import type { UnpackedLayer, UnpackOptions } from './archive.ts';
import { fileRange, openInput, stream } from './bytes.ts';
import { sourceName } from './input.ts';
import { openLayer } from './native.ts';
import { Watch } from './watch.ts';

/** @throws StrataError; a directory that was made for it is gone then, one that was there may have part of the layer. */
export async function unpackLayer(host: Host, options: UnpackOptions): Promise<UnpackedLayer> {
  const { source, directory, limits, warn = () => {}, progress, checkpoint } = options;
  const watch = new Watch(checkpoint);
  const file = source === '-' ? undefined : await openInput(source, 'any');
  const isNew = host.stat(directory) === undefined;
  try {
    const status = await file?.stat();
    const total = status?.isFile() === true ? status.size : 0;
    if (isNew) host.makeDirectories(directory, 0o755);
    let bytes = 0;
    const { diffId, entries, size } = await passLayer({
      what: sourceName(source),
      chunks: file === undefined || total === 0 ? stream(file?.fd ?? 0, watch, sourceName(source)) : fileRange(file.fd, 0, total, source),
      limits: { ...DEFAULT_LIMITS, ...limits },
      usage: { size: 0, entries: 0 },
      target: openLayer(directory, { lower: [], mode: 'flat' }),
      warn,
      came: (count) => {
        watch.check();
        bytes += count;
        progress?.({ step: 'read', layer: 1, layers: 1, digest: '', bytes, total });
      },
    });
    progress?.({ step: 'unpacked', layer: 1, layers: 1, digest: diffId, bytes, total });
    return { diffId, entries, size };
  } catch (error) {
    if (isNew) await host.removeTree(directory);
    throw error;
  } finally {
    watch.end();
    await file?.close();
  }
}
