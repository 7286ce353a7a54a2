/** Images of the store as archives that others can read. The same images give the same bytes: the layers go out as they are, and all times are 1970. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { StrataError } from '../base/error.ts';
import { hasCode } from '../base/fault.ts';
import type { Host } from '../host/host.ts';
import { digestParts, shortId } from '../image/digest.ts';
import { layerCompression, MEDIA_TYPES } from '../image/media-types.ts';
import type { Descriptor, ImageConfig, Manifest } from '../image/types.ts';
import { readBlob } from '../store/blobs.ts';
import type { ImageRecord } from '../store/images.ts';
import { findImage, readImageConfig, readImageManifest } from '../store/images.ts';
import { whileUsing } from '../store/lock.ts';
import { blobPath } from '../store/paths.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/store.ts';
import type { ExportOptions } from './archive.ts';
import type { Chunks } from './bytes.ts';
import { decompress, fileRange, systemError } from './bytes.ts';
import { Verifier } from './digests.ts';
import type { Output } from './output.ts';
import { openOutput } from './output.ts';
import { Watch } from './watch.ts';

/** An image, and the names that the archive is to have for it. */
interface Chosen {
  readonly image: ImageRecord;
  readonly names: string[];
  readonly manifest: Manifest;
  readonly config: ImageConfig;
}

/** @throws StrataError `image-not-found`, `usage`, `store-damaged`, `system`, and what `checkpoint` throws; then nothing has been written, but to a pipe. */
export async function exportImages(host: Host, options: ExportOptions): Promise<void> {
  const watch = new Watch(options.checkpoint);
  try {
    const store = openStore(host, options.store);
    // A store that does not exist has no images, and no locks.
    const chosen = choose(store, options.images);
    await whileUsing(store, async () => {
      const output = await openOutput(options.output, options.format === 'oci');
      try {
        const work = new Export(store, chosen, output, options, watch);
        await (options.format === 'docker-archive' ? work.docker() : work.layout());
        await output.finish();
      } catch (error) {
        await output.abort();
        throw error;
      }
    });
  } finally {
    watch.end();
  }
}

function choose(store: Store, wanted: readonly string[]): readonly Chosen[] {
  const chosen = new Map<string, Chosen>();
  for (const what of wanted) {
    const { image, name } = findImage(store, what);
    const known = chosen.get(image.id) ?? { image, names: [], manifest: readImageManifest(store, image), config: readImageConfig(store, image) };
    if (name !== '' && !known.names.includes(name)) known.names.push(name);
    chosen.set(image.id, known);
  }
  return [...chosen.values()];
}

class Export {
  private readonly store: Store;
  private readonly chosen: readonly Chosen[];
  private readonly output: Output;
  private readonly options: ExportOptions;
  private readonly watch: Watch;
  /** Paths in the archive that have been written: images share layers. */
  private readonly written = new Set<string>();
  private bytes = 0;
  private total = 0;

  constructor(store: Store, chosen: readonly Chosen[], output: Output, options: ExportOptions, watch: Watch) {
    this.store = store;
    this.chosen = chosen;
    this.output = output;
    this.options = options;
    this.watch = watch;
  }

  /** image-layout.md. What is read first comes first. */
  async layout(): Promise<void> {
    const { output } = this;
    await this.text('oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    await this.text(
      'index.json',
      JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests: this.chosen.flatMap((one) => this.described(one)) }),
    );
    const layers = this.chosen.flatMap(({ manifest }) => manifest.layers);
    const documents = this.chosen.flatMap(({ image, manifest }) => [image.manifest, manifest.config.digest]);
    await output.directory('blobs');
    const algorithms = new Set([...documents, ...layers.map(({ digest }) => digest)].map((digest) => digestParts(digest).algorithm));
    for (const algorithm of [...algorithms].sort()) await output.directory(`blobs/${algorithm}`);
    this.total = totalSize(layers);
    for (const digest of documents) await this.text(blobName(digest), readBlob(this.store, digest));
    for (const layer of layers) await this.blob(layer);
  }

  private described({ image, names, manifest, config }: Chosen): readonly Descriptor[] {
    const { architecture, os, variant } = config;
    const descriptor = {
      mediaType: manifest.mediaType,
      digest: image.manifest,
      size: Buffer.byteLength(readBlob(this.store, image.manifest)),
      platform: { architecture, os, ...(variant !== undefined && { variant }) },
    };
    if (names.length === 0) return [descriptor];
    return names.map((name) => {
      // The one of the specification, and the one that containerd and Docker read.
      return { ...descriptor, annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name } };
    });
  }

  /** As `docker save` does it, layers uncompressed: there are readers that expect nothing else. */
  async docker(): Promise<void> {
    const items = this.chosen.map(({ image, names, config }) => ({
      Config: `${digestParts(image.id).hex}.json`,
      RepoTags: names,
      Layers: config.diffIds.map(dockerLayer),
    }));
    await this.text('manifest.json', JSON.stringify(items));
    for (const { image } of this.chosen) await this.text(`${digestParts(image.id).hex}.json`, readBlob(this.store, image.config));
    // Each is read twice: how large it is uncompressed must be said before it.
    this.total = 2 * totalSize(this.chosen.flatMap(({ manifest }) => manifest.layers));
    for (const { manifest, config } of this.chosen) {
      for (const [at, layer] of manifest.layers.entries()) await this.plainLayer(layer, config.diffIds[at] as string);
    }
  }

  private async plainLayer(layer: Descriptor, diffId: string): Promise<void> {
    const name = dockerLayer(diffId);
    if (this.written.has(name)) return;
    this.written.add(name);
    let size = 0;
    await this.decompressed(layer, (chunk) => {
      size += chunk.length;
    });
    const content = new Verifier({ digest: diffId, size });
    await this.output.begin(name, size);
    await this.decompressed(layer, async (chunk) => {
      content.update(chunk);
      await this.output.write(chunk);
    });
    this.whole(layer, () => content.finish());
    await this.output.end();
  }

  private async decompressed(layer: Descriptor, plain: (chunk: Buffer) => void | Promise<void>): Promise<void> {
    const compression = layerCompression(layer.mediaType);
    if (compression === undefined)
      throw new StrataError({ code: 'store-damaged', reason: `layer ${shortId(layer.digest)} is of the type ${layer.mediaType}` });
    try {
      await decompress(this.content(layer), compression, `layer ${shortId(layer.digest)}`, () => {}, plain);
    } catch (error) {
      throw damaged(error, layer);
    }
  }

  private async blob(descriptor: Descriptor): Promise<void> {
    const name = blobName(descriptor.digest);
    if (this.written.has(name)) return;
    this.written.add(name);
    await this.output.begin(name, descriptor.size);
    for await (const chunk of this.content(descriptor)) await this.output.write(chunk);
    await this.output.end();
  }

  private async text(name: string, text: string): Promise<void> {
    if (this.written.has(name)) return;
    this.written.add(name);
    const content = Buffer.from(text);
    await this.output.begin(name, content.length);
    await this.output.write(content);
    await this.output.end();
  }

  /** A layer as it is kept, verified while it is read. */
  private async *content(descriptor: Descriptor): AsyncGenerator<Buffer> {
    const path = blobPath(this.store.root, descriptor.digest);
    const verifier = new Verifier(descriptor);
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
      throw systemError(error, path);
    });
    try {
      const chunks: Chunks = fileRange(file.fd, 0, descriptor.size, path);
      for await (const chunk of chunks) {
        this.watch.check();
        verifier.update(chunk);
        this.bytes += chunk.length;
        this.options.progress?.({ bytes: this.bytes, total: this.total });
        yield chunk;
      }
      if ((await file.stat()).size !== descriptor.size)
        throw new StrataError({ code: 'image-invalid', reason: `its size is not ${descriptor.size} bytes` });
      verifier.finish();
    } catch (error) {
      throw damaged(error, descriptor);
    } finally {
      await file.close();
    }
  }

  private whole(descriptor: Descriptor, check: () => void): void {
    try {
      check();
    } catch (error) {
      throw damaged(error, descriptor);
    }
  }
}

/** What was verified when it came into the store, and is wrong now, has been damaged there. */
function damaged(error: unknown, { digest }: Descriptor): unknown {
  if (!hasCode(error, 'image-invalid')) return error;
  return new StrataError({
    code: 'store-damaged',
    reason: `blob ${digest} is damaged: ${(error as StrataError).reason}`,
    hint: 'strata fsck tells more',
  });
}

function totalSize(layers: readonly Descriptor[]): number {
  return [...new Map(layers.map(({ digest, size }) => [digest, size])).values()].reduce((sum, size) => sum + size, 0);
}

function blobName(digest: string): string {
  const { algorithm, hex } = digestParts(digest);
  return `blobs/${algorithm}/${hex}`;
}

function dockerLayer(diffId: string): string {
  return `${digestParts(diffId).hex}.tar`;
}
