/** Whether the store still has what it was given: content against its digests, and layers against the archives that they were unpacked from. */
import * as fs from 'node:fs';
import { StrataError } from '../base/error.ts';
import { ERRNO, hasCode, hasErrno, messageOf } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import { digestParts, shortId } from '../image/digest.ts';
import type { Descriptor } from '../image/types.ts';
import { DEFAULT_LIMITS } from '../layer/filter.ts';
import { hasBlob } from '../store/blobs.ts';
import type { ImageRecord } from '../store/images.ts';
import { findImage, readImageConfig, readImageManifest } from '../store/images.ts';
import { chainIds, hasLayer, loadLayer } from '../store/layers.ts';
import { whileUsing } from '../store/lock.ts';
import { blobPath, layerDiff } from '../store/paths.ts';
import type { Store } from '../store/store.ts';
import { makeTemporary, openStore } from '../store/store.ts';
import { passLayer } from './apply.ts';
import type { VerifyOptions } from './archive.ts';
import { fileRange, openInput } from './bytes.ts';
import { sha256, Verifier } from './digests.ts';
import { compareTrees, openLayer } from './native.ts';
import { Watch } from './watch.ts';

/** What is wrong with images, one line each; none if they are as they came. @throws StrataError `image-not-found`, `system`. */
export async function verifyImages(host: Host, { store: root, images, checkpoint, progress }: VerifyOptions): Promise<readonly string[]> {
  const store = openStore(host, root);
  for (const image of images) findImage(store, image);
  const watch = new Watch(checkpoint);
  try {
    return await whileUsing(store, async () => {
      const contents = new Contents(store, watch, progress);
      const faults: string[] = [];
      for (const image of images) faults.push(...(await contents.image(findImage(store, image).image)));
      return faults;
    });
  } finally {
    watch.end();
  }
}

/** Where a layer of an image comes from. */
export interface LayerOrigin {
  readonly chainId: string;
  readonly diffId: string;
  /** Chain ids of the layers below, bottom to top. */
  readonly below: readonly string[];
  /** Digest of the archive. */
  readonly blob: string;
  /** Of the archive. */
  readonly mediaType: string;
}

/** The layers of an image, bottom to top. @throws StrataError `store-damaged`, `image-invalid` if its documents cannot be read or contradict each other. */
export function layerOrigins(store: Store, image: ImageRecord): readonly LayerOrigin[] {
  const { diffIds } = readImageConfig(store, image);
  const { layers } = readImageManifest(store, image);
  const ids = chainIds(diffIds, sha256);
  const consistent = layers.length === ids.length && image.layers.length === ids.length && ids.every((id, index) => id === image.layers[index]);
  if (!consistent) throw new StrataError({ code: 'image-invalid', reason: 'its record, its manifest and its configuration have different layers' });
  return ids.map((chainId, index) => ({
    chainId,
    diffId: diffIds[index] as string,
    below: ids.slice(0, index),
    ...archiveOf(store, chainId, layers[index] as Descriptor),
  }));
}

/** The archive that a layer was unpacked from; if nobody knows or has it any more, the one of this image. */
function archiveOf(store: Store, chainId: string, { digest, mediaType }: Descriptor): Pick<LayerOrigin, 'blob' | 'mediaType'> {
  try {
    const record = loadLayer(store, chainId);
    if (record !== undefined && hasBlob(store, record.blob)) return { blob: record.blob, mediaType: record.mediaType };
  } catch (error) {
    if (!hasCode(error, 'store-damaged')) throw error;
  }
  return { blob: digest, mediaType };
}

/** Reads contents, each once however many images have it. While the store is in use. */
export class Contents {
  private readonly store: Store;
  private readonly watch: Watch;
  private readonly progress: ((what: string) => void) | undefined;
  private readonly blobFaults = new Map<string, string | undefined>();
  private readonly layerFaults = new Map<string, string | undefined>();
  /** Chain ids of layers that are not as they should be. */
  readonly damaged = new Set<string>();

  constructor(store: Store, watch: Watch, progress?: (what: string) => void) {
    this.store = store;
    this.watch = watch;
    this.progress = progress;
  }

  /** Everything that is wrong with an image. */
  async image(image: ImageRecord): Promise<readonly string[]> {
    const what = `image ${shortId(image.id)}`;
    const faults: string[] = [];
    try {
      const origins = layerOrigins(this.store, image);
      const blobs = [image.manifest, image.config, ...readImageManifest(this.store, image).layers.map(({ digest }) => digest)];
      for (const digest of new Set(blobs)) {
        const fault = await this.blob(digest);
        if (fault !== undefined) faults.push(`${what}: blob ${shortId(digest)} ${fault}`);
      }
      for (const origin of origins) {
        const fault = await this.layer(origin);
        if (fault !== undefined) faults.push(`${what}: layer ${shortId(origin.chainId)} ${fault}`);
      }
    } catch (error) {
      if (!(hasCode(error, 'store-damaged') || hasCode(error, 'image-invalid'))) throw error;
      faults.push(`${what}: ${messageOf(error)}`);
    }
    return faults;
  }

  /** What is wrong with a blob, undefined if it is what its digest says. */
  async blob(digest: string): Promise<string | undefined> {
    if (!this.blobFaults.has(digest)) this.blobFaults.set(digest, await this.readBlob(digest));
    return this.blobFaults.get(digest);
  }

  /**
   * How a layer differs from its archive, undefined if it does not. One above a damaged layer is not looked at: directories that its archive does not
   * describe are as they are there.
   */
  async layer(origin: LayerOrigin): Promise<string | undefined> {
    const { chainId, below } = origin;
    if (below.some((id) => this.damaged.has(id))) return undefined;
    if (!this.layerFaults.has(chainId)) {
      const fault = await this.compareLayer(origin);
      this.layerFaults.set(chainId, fault);
      if (fault !== undefined) this.damaged.add(chainId);
    }
    return this.layerFaults.get(chainId);
  }

  /** Unpacks a layer again, into a new directory that has a `diff` then. @throws StrataError `image-invalid`, `system`. */
  async unpack({ blob, diffId, below }: LayerOrigin): Promise<{ readonly directory: string; readonly entries: number; readonly size: number }> {
    const { store, watch } = this;
    const path = blobPath(store.root, blob);
    const directory = makeTemporary(store);
    const diff = `${directory}/diff`;
    try {
      const file = await openInput(path, 'file');
      try {
        const { size } = await file.stat();
        fs.mkdirSync(diff);
        // Whatever the umask is.
        fs.chmodSync(diff, 0o755);
        const lower = below.map((id) => layerDiff(store.root, id)).reverse();
        const passed = await passLayer({
          what: `blob ${shortId(blob)}`,
          chunks: fileRange(file.fd, 0, size, path),
          expected: { digest: blob, size },
          diffId,
          // It has been taken in once, with the limits of that time.
          limits: { ...DEFAULT_LIMITS, maxSize: Number.MAX_SAFE_INTEGER, maxEntries: Number.MAX_SAFE_INTEGER, maxRatio: Number.MAX_SAFE_INTEGER },
          usage: { size: 0, entries: 0 },
          target: openLayer(diff, { lower, mode: 'overlay' }),
          warn: () => {},
          came: () => watch.check(),
        });
        return { directory, entries: passed.entries, size: passed.size };
      } finally {
        await file.close();
      }
    } catch (error) {
      await store.host.removeTree(directory);
      throw error;
    }
  }

  private async readBlob(digest: string): Promise<string | undefined> {
    const path = blobPath(this.store.root, digest);
    this.progress?.(`blob ${shortId(digest)}`);
    try {
      const file = await openInput(path, 'file');
      try {
        const { size } = await file.stat();
        const verifier = new Verifier({ digest, size });
        for await (const chunk of fileRange(file.fd, 0, size, path)) {
          this.watch.check();
          verifier.update(chunk);
        }
        verifier.finish();
        return undefined;
      } finally {
        await file.close();
      }
    } catch (error) {
      if (hasErrno(error, ERRNO.ENOENT)) return 'is missing';
      if (hasCode(error, 'image-invalid')) return `does not have the ${digestParts(digest).algorithm} digest that is its name`;
      throw error;
    }
  }

  private async compareLayer(origin: LayerOrigin): Promise<string | undefined> {
    const { store } = this;
    const diff = layerDiff(store.root, origin.chainId);
    this.progress?.(`layer ${shortId(origin.chainId)}`);
    if (!hasLayer(store, origin.chainId) || store.host.stat(diff)?.type !== 'directory') return 'is missing';
    let directory: string | undefined;
    try {
      ({ directory } = await this.unpack(origin));
      const difference = await compareTrees(`${directory}/diff`, diff);
      return difference && `is not as it was unpacked: ${difference.path}: ${difference.reason}`;
    } catch (error) {
      if (hasErrno(error, ERRNO.ENOENT)) return `cannot be compared: ${messageOf(error)}`;
      if (hasCode(error, 'image-invalid')) return `cannot be unpacked again: ${messageOf(error)}`;
      throw error;
    } finally {
      if (directory !== undefined) await store.host.removeTree(directory);
    }
  }
}
