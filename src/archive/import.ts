/**
 * Import of images into the store. Everything is made in a directory of its own in `tmp`: layers are read, verified, decompressed and unpacked at once.
 * When all of it is on the disk it is renamed into place, in the order of docs/store.md.
 */
import * as fs from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { StrataError } from '../base/error.ts';
import type { Host } from '../host/host.ts';
import { shortId } from '../image/digest.ts';
import type { Compression } from '../image/media-types.ts';
import { layerCompression, MEDIA_TYPES } from '../image/media-types.ts';
import { nameToKeep } from '../image/reference.ts';
import type { Limits, Usage } from '../layer/filter.ts';
import { DEFAULT_LIMITS } from '../layer/filter.ts';
import { hasBlob, installBlob } from '../store/blobs.ts';
import type { ImageRecord } from '../store/images.ts';
import { loadImage, saveImages } from '../store/images.ts';
import type { LayerRecord } from '../store/layers.ts';
import { chainIds, hasLayer, installLayer, loadLayer, sealLayer } from '../store/layers.ts';
import { whileUnpacking, whileUsing } from '../store/lock.ts';
import { blobPath, layerDiff } from '../store/paths.ts';
import { removeSuperseded } from '../store/prune.ts';
import type { Store } from '../store/store.ts';
import { makeTemporary, prepareStore } from '../store/store.ts';
import type { Passed } from './apply.ts';
import { passLayer } from './apply.ts';
import type { ImportedImage, ImportOptions, ImportProgress } from './archive.ts';
import type { Chunks } from './bytes.ts';
import { systemError } from './bytes.ts';
import { sha256 } from './digests.ts';
import { openArchive, sourceName } from './input.ts';
import { openLayer } from './native.ts';
import type { Document, PlannedImage, PlannedLayer } from './plan.ts';
import { ownPlatform, planDocker, planLayout } from './plan.ts';
import { Watch } from './watch.ts';

/** An image with where its layers lie. */
interface Placed {
  readonly image: PlannedImage;
  /** Bottom to top. */
  readonly chainIds: readonly string[];
}

/** @throws StrataError `image-invalid`, `usage`, `store-damaged`, `system`, and what `checkpoint` throws; then the store is as it was. */
export async function importImages(host: Host, options: ImportOptions): Promise<readonly ImportedImage[]> {
  // Before anything is done.
  const name = options.name === undefined ? undefined : nameToKeep(options.name);
  const watch = new Watch(options.checkpoint);
  try {
    const store = prepareStore(host, options.store);
    const run = async () => {
      const work = makeTemporary(store);
      try {
        const made = new Import(store, work, options, name, watch);
        return { images: await made.run(), superseded: made.superseded };
      } finally {
        await host.removeTree(work);
      }
    };
    const { images, superseded } = await whileUsing(store, run, () => watch.check());
    await removeSuperseded(store, superseded, options.warn ?? (() => {}));
    return images;
  } finally {
    watch.end();
  }
}

class Import {
  /** What the images were before, where it was made of something else. */
  superseded: readonly ImageRecord[] = [];
  private readonly store: Store;
  private readonly work: string;
  private readonly options: ImportOptions;
  private readonly name: string | undefined;
  private readonly watch: Watch;
  private readonly limits: Limits;
  private readonly warn: (text: string) => void;
  private readonly usage: Usage = { size: 0, entries: 0 };
  /** Files and directories in `work` that wait for their places, by digest and by chain id. */
  private readonly blobs = new Map<string, string>();
  private readonly layers = new Map<string, string>();
  /** What is known of the layers of this import. */
  private readonly records = new Map<string, LayerRecord>();
  private files = 0;
  private bytes = 0;
  private total = 0;
  private layer = 0;
  private layerCount = 0;

  constructor(store: Store, work: string, options: ImportOptions, name: string | undefined, watch: Watch) {
    this.store = store;
    this.work = work;
    this.options = options;
    this.name = name;
    this.watch = watch;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.warn = options.warn ?? (() => {});
  }

  async run(): Promise<readonly ImportedImage[]> {
    const { source, platform } = this.options;
    const spool = { path: this.path('archive'), limits: this.limits, came: (bytes: number) => this.came(bytes, '') };
    const opened = await openArchive(source, spool, this.watch);
    const { input } = opened;
    try {
      if (input.kind === 'rootfs') return await this.importRootfs(input.chunks, input.size);
      const wanted = { platform, warn: this.warn };
      const images = await (input.kind === 'layout' ? planLayout : planDocker)(input.members, wanted);
      if (this.name !== undefined && images.length > 1) {
        const reason = `--name names one image, and ${sourceName(source)} has ${images.length}`;
        throw new StrataError({ code: 'usage', reason, hint: 'leave it out to keep the names that they have' });
      }
      const placed = images.map((image) => ({
        image,
        chainIds: chainIds(
          image.layers.map(({ diffId }) => diffId),
          sha256,
        ),
      }));
      const missing = [...new Set(placed.flatMap(({ chainIds: ids }) => ids).filter((id) => !hasLayer(this.store, id)))];
      // In one order for all who import, so that no two of them wait for each other.
      return await this.whileUnpackingAll(missing.sort(), () => this.importAll(placed));
    } finally {
      await opened.close();
    }
  }

  private async whileUnpackingAll<Value>(ids: readonly string[], work: () => Promise<Value>): Promise<Value> {
    const [first, ...rest] = ids;
    if (first === undefined) return work();
    return whileUnpacking(
      this.store,
      first,
      () => this.whileUnpackingAll(rest, work),
      () => this.watch.check(),
    );
  }

  // --- images with documents -----------------------------------------------------------------------------------------------------------------

  private async importAll(placed: readonly Placed[]): Promise<readonly ImportedImage[]> {
    const todo = new Map<string, { layer: PlannedLayer; parent: string | undefined; lower: readonly string[] }>();
    for (const { image, chainIds: ids } of placed) {
      for (const [at, layer] of image.layers.entries()) {
        const id = ids[at] as string;
        const other = todo.get(id);
        // Two images with one layer may have it in two archives; both are kept.
        const key = other !== undefined && other.layer.descriptor?.digest !== layer.descriptor?.digest ? `${id} ${layer.descriptor?.digest}` : id;
        if (!todo.has(key)) todo.set(key, { layer, parent: ids[at - 1], lower: ids.slice(0, at).reverse() });
      }
    }
    this.layerCount = todo.size;
    const needed = [...todo].filter(([key, { layer }]) => this.isNeeded(chainOf(key), layer));
    this.total = needed.reduce((sum, [, { layer }]) => sum + layer.member.size, 0);
    for (const [key, { layer, parent, lower }] of todo) {
      this.layer += 1;
      await this.importLayer(chainOf(key), layer, parent, lower);
    }
    const images: (ImportedImage & { readonly record: ImageRecord })[] = [];
    for (const { image, chainIds: ids } of placed) images.push(await this.describe(image, ids));
    return this.install(images);
  }

  /** Whether the layer's archive must be read. */
  private isNeeded(chainId: string, { descriptor }: PlannedLayer): boolean {
    const record = this.records.get(chainId) ?? loadLayer(this.store, chainId);
    const blob = descriptor?.digest ?? record?.blob;
    return record === undefined || blob === undefined || !(hasBlob(this.store, blob) || this.blobs.has(blob));
  }

  private async importLayer(chainId: string, layer: PlannedLayer, parent: string | undefined, lower: readonly string[]): Promise<void> {
    const { descriptor, diffId, member } = layer;
    const digest = descriptor?.digest ?? diffId;
    const known = this.records.get(chainId) ?? loadLayer(this.store, chainId);
    if (known !== undefined) this.records.set(chainId, known);
    if (!this.isNeeded(chainId, layer)) {
      this.tell('present', digest);
      return;
    }
    const what = `layer ${this.layer} of ${this.layerCount} (${shortId(digest)})`;
    const keep = this.path('blob');
    const directory = this.path('layer');
    const isNew = known === undefined;
    if (isNew) makeLayerDirectory(directory);
    const passed = await passLayer({
      what,
      chunks: member.read(),
      ...(descriptor !== undefined && { expected: descriptor }),
      diffId,
      limits: this.limits,
      usage: this.usage,
      keep,
      ...(isNew && { target: openLayer(`${directory}/diff`, { lower: lower.map((id) => this.diffOf(id)), mode: 'overlay' }) }),
      warn: this.warn,
      came: (bytes) => this.came(bytes, digest),
    });
    this.blobs.set(passed.digest, keep);
    if (isNew) this.seal(directory, chainId, parent, passed, descriptor?.mediaType);
    this.tell(isNew ? 'unpacked' : 'verified', digest);
  }

  private seal(directory: string, chainId: string, parent: string | undefined, passed: Passed, mediaType: string | undefined): void {
    const { diffId, digest, size, entries, compression } = passed;
    const record: LayerRecord = {
      chainId,
      diffId,
      ...(parent !== undefined && { parent }),
      blob: digest,
      mediaType: mediaType ?? LAYER_TYPES[compression],
      size,
      entries,
    };
    sealLayer(this.store, directory, record);
    this.records.set(chainId, record);
    this.layers.set(chainId, directory);
  }

  /** The record of an image whose layers are there, and what is told of it. */
  private async describe(image: PlannedImage, ids: readonly string[]): Promise<ImportedImage & { readonly record: ImageRecord }> {
    const { config, layers } = image;
    const id = `sha256:${sha256(config.content)}`;
    // The manifest that the store has says the same, and perhaps of archives that it came with.
    const known = image.manifest === undefined ? loadImage(this.store, id)?.manifest : undefined;
    const manifest = known ?? (await this.addDocument(image.manifest ?? this.makeManifest(config, layers, ids)));
    await this.addDocument(config);
    const record: ImageRecord = { id, manifest, config: config.digest, layers: ids, created: this.store.host.timestamp() };
    const names = this.name === undefined ? this.keep(image.names) : [this.name];
    return { record, id, manifest, names, layers: ids.length, added: ids.filter((chainId) => this.layers.has(chainId)).length };
  }

  private keep(names: readonly string[]): readonly string[] {
    const kept = new Set<string>();
    for (const name of names) {
      try {
        kept.add(nameToKeep(name));
      } catch (error) {
        if (!(error instanceof StrataError)) throw error;
        this.warn(`a name in the archive is not kept: ${error.reason}`);
      }
    }
    return [...kept];
  }

  /** For an image of `docker save`, which has none: of the layers as the store has them. */
  private makeManifest(config: Document, layers: readonly PlannedLayer[], ids: readonly string[]): Document {
    const described = layers.map((_, at) => {
      const { blob, mediaType } = this.records.get(ids[at] as string) as LayerRecord;
      const { size } = fs.statSync(this.blobs.get(blob) ?? blobPath(this.store.root, blob));
      return { mediaType: LAYER_TYPES[layerCompression(mediaType) ?? 'none'], digest: blob, size };
    });
    const content = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.manifest,
        config: { mediaType: MEDIA_TYPES.config, digest: config.digest, size: config.content.length },
        layers: described,
      }),
    );
    return { digest: `sha256:${sha256(content)}`, content };
  }

  /** Its digest. */
  private async addDocument({ digest, content }: Document): Promise<string> {
    if (hasBlob(this.store, digest) || this.blobs.has(digest)) return digest;
    const path = this.path('blob');
    try {
      await writeFile(path, content, { flag: 'wx', mode: 0o600 });
    } catch (error) {
      throw systemError(error, path);
    }
    this.blobs.set(digest, path);
    return digest;
  }

  // --- a root file system --------------------------------------------------------------------------------------------------------------------

  private async importRootfs(chunks: Chunks, size: number): Promise<readonly ImportedImage[]> {
    const { source, platform } = this.options;
    const directory = this.path('layer');
    const keep = this.path('blob');
    makeLayerDirectory(directory);
    this.layerCount = 1;
    this.layer = 1;
    this.total = size;
    const passed = await passLayer({
      what: sourceName(source),
      chunks,
      limits: this.limits,
      usage: this.usage,
      keep,
      target: openLayer(`${directory}/diff`, { lower: [], mode: 'overlay' }),
      warn: this.warn,
      came: (bytes) => this.came(bytes, ''),
    });
    this.blobs.set(passed.digest, keep);
    this.seal(directory, passed.diffId, undefined, passed, undefined);
    this.tell('unpacked', passed.digest);
    const config = this.makeConfig(passed.diffId, platform ?? ownPlatform());
    const member = { name: source, size: passed.archiveSize, read: () => chunks };
    const layers = [{ diffId: passed.diffId, member, descriptor: undefined }];
    return whileUnpacking(this.store, passed.diffId, async () => {
      const other = loadLayer(this.store, passed.diffId);
      // Another archive of the same layer may have been there first; then the image is of that one.
      if (other !== undefined && hasBlob(this.store, other.blob)) {
        this.records.set(passed.diffId, other);
        this.layers.delete(passed.diffId);
        if (other.blob !== passed.digest) this.blobs.delete(passed.digest);
      }
      return this.install([await this.describe({ names: [], config, manifest: undefined, layers }, [passed.diffId])]);
    });
  }

  private makeConfig(diffId: string, { os, architecture, variant }: { os: string; architecture: string; variant?: string }): Document {
    const created = this.created();
    const content = Buffer.from(
      JSON.stringify({
        created,
        architecture,
        ...(variant !== undefined && { variant }),
        os,
        config: {},
        rootfs: { type: 'layers', diff_ids: [diffId] },
        history: [{ created, created_by: 'strata image import', comment: 'imported from a root file system' }],
      }),
    );
    return { digest: `sha256:${sha256(content)}`, content };
  }

  private created(): string {
    const { host } = this.store;
    const epoch = host.environment('SOURCE_DATE_EPOCH');
    if (epoch === undefined || epoch === '') return host.timestamp();
    if (!/^[0-9]{1,11}$/.test(epoch)) throw new StrataError({ code: 'usage', reason: 'SOURCE_DATE_EPOCH is not a number of seconds' });
    return new Date(Number(epoch) * 1000).toISOString().replace('.000Z', 'Z');
  }

  // --- into the store ------------------------------------------------------------------------------------------------------------------------

  private async install(images: readonly (ImportedImage & { readonly record: ImageRecord })[]): Promise<readonly ImportedImage[]> {
    const { store, work } = this;
    const { host, root } = store;
    this.watch.check();
    await host.syncFileSystem(work);
    this.watch.check();
    for (const [digest, path] of this.blobs) installBlob(store, path, digest);
    for (const directory of ['blobs/sha256', 'blobs/sha512']) await host.syncFile(`${root}/${directory}`);
    // One that another import has put there meanwhile goes with the rest of `work`.
    for (const [chainId, directory] of this.layers) installLayer(store, directory, chainId);
    await host.syncFile(`${root}/layers`);
    this.superseded = await saveImages(store, images);
    return images.map(({ record: _, ...image }) => image);
  }

  // --- small things --------------------------------------------------------------------------------------------------------------------------

  private diffOf(chainId: string): string {
    const made = this.layers.get(chainId);
    return made === undefined ? layerDiff(this.store.root, chainId) : `${made}/diff`;
  }

  private path(kind: string): string {
    this.files += 1;
    return `${this.work}/${kind}-${this.files}`;
  }

  private came(bytes: number, digest: string): void {
    this.watch.check();
    this.bytes += bytes;
    this.tell('read', digest);
  }

  private tell(step: ImportProgress['step'], digest: string): void {
    const { layer, layerCount: layers, bytes, total } = this;
    this.options.progress?.({ step, layer, layers, digest, bytes, total });
  }
}

const LAYER_TYPES: Readonly<Record<Compression, string>> = {
  none: MEDIA_TYPES.layer,
  gzip: MEDIA_TYPES.layerGzip,
  zstd: MEDIA_TYPES.layerZstd,
};

/** Of a key of the layers that are to be imported. */
function chainOf(key: string): string {
  return key.split(' ')[0] as string;
}

function makeLayerDirectory(directory: string): void {
  try {
    fs.mkdirSync(directory, { mode: 0o700 });
    fs.mkdirSync(`${directory}/diff`, { mode: 0o755 });
    // Whatever the umask is.
    fs.chmodSync(`${directory}/diff`, 0o755);
  } catch (error) {
    throw systemError(error, directory);
  }
}
