/**
 * A container's writable layer becomes the topmost layer of a new image. Only that layer is read: the archive is written and the new layer unpacked from
 * the same records, at once, and of the image below nothing but documents is looked at.
 */
import { StrataError } from '../base/error.ts';
import { momentOf } from '../base/time.ts';
import type { Host } from '../host/host.ts';
import type { RawConfig } from '../image/change.ts';
import { changed } from '../image/change.ts';
import { MEDIA_TYPES } from '../image/media-types.ts';
import { MOST_LAYERS } from '../image/parse.ts';
import { nameToKeep } from '../image/reference.ts';
import type { Descriptor, HistoryEntry, ImageConfig } from '../image/types.ts';
import { list, object, required, text } from '../spec/reader.ts';
import { installBlob, readBlob } from '../store/blobs.ts';
import type { ImageRecord } from '../store/images.ts';
import { imageNotFound, loadImage, readImageConfig, readImageManifest, saveImages } from '../store/images.ts';
import { chainIds, installLayer, sealLayer } from '../store/layers.ts';
import { whileUsing } from '../store/lock.ts';
import { containerPath } from '../store/paths.ts';
import { removeSuperseded } from '../store/prune.ts';
import { readRecord } from '../store/records.ts';
import { readId } from '../store/references.ts';
import type { Store } from '../store/store.ts';
import { makeTemporary, prepareStore } from '../store/store.ts';
import type { MadeLayer } from './layer-archive.ts';
import { archiveLayer } from './layer-archive.ts';
import { whilePaused } from './paused.ts';
import type { WritableLayer } from './writable.ts';
import { writableLayer } from './writable.ts';

export interface CommitOptions {
  /** Directory of the store. */
  readonly store: string;
  /** Directory of the run state of containers. */
  readonly root: string;
  /** The container. */
  readonly id: string;
  /** What the new image is to be called. */
  readonly name: string;
  readonly author?: string;
  /** What has been done, for the history. */
  readonly message?: string;
  /** In the words of a Dockerfile, such as `CMD ["true"]`: `src/image/change.ts`. */
  readonly changes: readonly string[];
  /** Freeze the container's processes while its files are read. */
  readonly pause: boolean;
  /** Gets what is left out, one line each. */
  readonly warn?: (text: string) => void;
  /** Called often; what it throws ends the work, and what was made is taken back. */
  readonly checkpoint?: () => void;
}

export interface CommittedImage {
  /** `sha256:…` */
  readonly id: string;
  /** Digest of the manifest. */
  readonly manifest: string;
  /** Whole. */
  readonly name: string;
  /** Diff id of the new layer; undefined if nothing had changed, for then there is none. */
  readonly layer: string | undefined;
  /** Bytes of file content in that layer. */
  readonly size: number;
}

/** Of container.json, what is needed here. */
interface Origin {
  readonly image: string;
  readonly command: readonly string[];
}

const readOrigin = object<Origin>({ image: required(readId), command: required(list(text)) });

/**
 * @throws StrataError `not-found`, `image-not-found`, `usage` for a wrong name or change, `config-unsupported` for what no layer can hold,
 *   `store-damaged`, `system`, and what `checkpoint` throws; then the store is as it was, and the container runs on.
 */
export async function commit(host: Host, options: CommitOptions): Promise<CommittedImage> {
  // Before anything is done.
  const name = nameToKeep(options.name);
  changed({}, options.changes);
  const epoch = sourceDate(host);
  const store = prepareStore(host, options.store);
  const { image, superseded } = await whileUsing(
    store,
    async () => {
      const work = makeTemporary(store);
      try {
        return await new Commit(store, work, options, name, epoch).run();
      } finally {
        await host.removeTree(work);
      }
    },
    options.checkpoint,
  );
  await removeSuperseded(store, superseded, options.warn ?? (() => {}));
  return image;
}

/** SOURCE_DATE_EPOCH, in seconds since 1970; undefined if it is not set. @throws StrataError `usage`. */
function sourceDate(host: Host): number | undefined {
  const seconds = host.environment('SOURCE_DATE_EPOCH') ?? '';
  if (seconds === '') return undefined;
  if (!/^[0-9]{1,11}$/.test(seconds)) throw new StrataError({ code: 'usage', reason: 'SOURCE_DATE_EPOCH is not a number of seconds' });
  return Number(seconds);
}

/** A blob that waits for its place. */
interface Made {
  readonly digest: string;
  readonly size: number;
  readonly path: string;
}

/** Entries of a tree. */
const FEW = 100;

class Commit {
  private readonly host: Host;
  private readonly store: Store;
  private readonly work: string;
  private readonly options: CommitOptions;
  private readonly name: string;
  private readonly epoch: number | undefined;
  private readonly check: () => void;
  private readonly warn: (text: string) => void;

  constructor(store: Store, work: string, options: CommitOptions, name: string, epoch: number | undefined) {
    this.host = store.host;
    this.store = store;
    this.work = work;
    this.options = options;
    this.name = name;
    this.epoch = epoch;
    this.check = options.checkpoint ?? (() => {});
    this.warn = options.warn ?? (() => {});
  }

  /** The image, and records of one that it replaces. */
  async run(): Promise<{ readonly image: CommittedImage; readonly superseded: readonly ImageRecord[] }> {
    const { store, options, host } = this;
    const { id } = options;
    const layer = writableLayer(store, id);
    const origin = readRecord(store, `${containerPath(store.root, id)}/container.json`, `the record of container ${id}`, readOrigin);
    if (origin === undefined) throw new StrataError({ code: 'not-found', reason: `no container made of an image has the id ${id}` });
    const base = loadImage(store, origin.image);
    if (base === undefined) throw imageNotFound(`${origin.image}, of which container ${id} was made`);
    const config = readImageConfig(store, base);

    const archive = options.pause ? await whilePaused(host, options, this.warn, () => this.read(layer)) : await this.read(layer);
    // As for a RUN that changes nothing: the history has it, and no layer is added.
    const isEmpty = archive.entries === 0;
    if (!isEmpty && base.layers.length >= MOST_LAYERS) {
      throw new StrataError({ code: 'config-unsupported', reason: `the image has ${base.layers.length} layers, and the kernel cannot stack more` });
    }
    const ids = isEmpty ? base.layers : chainIds([...config.diffIds, archive.diffId], host.sha256);
    const document = this.makeConfig(base, config, isEmpty ? undefined : archive.diffId, origin.command);
    const manifest = this.makeManifest(base, document, isEmpty ? undefined : archive);
    const record: ImageRecord = { id: document.digest, manifest: manifest.digest, config: document.digest, layers: ids, created: host.timestamp() };
    const chainId = ids.at(-1);
    if (!isEmpty && chainId !== undefined) this.seal(chainId, base.layers.at(-1), archive);
    const superseded = await this.install(record, isEmpty ? undefined : chainId, [...(isEmpty ? [] : [this.blobOf(archive)]), document, manifest]);
    const image = {
      id: record.id,
      manifest: manifest.digest,
      name: this.name,
      layer: isEmpty ? undefined : archive.diffId,
      size: isEmpty ? 0 : archive.size,
    };
    return { image, superseded };
  }

  private read(written: WritableLayer): Promise<MadeLayer> {
    const { epoch: latest, check, warn } = this;
    return archiveLayer(this.store, written, { directory: `${this.layerDirectory()}/diff`, archive: this.archivePath(), latest, check, warn });
  }

  private layerDirectory(): string {
    const directory = `${this.work}/layer`;
    this.host.makeDirectory(directory, 0o700);
    this.host.makeDirectory(`${directory}/diff`, 0o755);
    return directory;
  }

  private archivePath(): string {
    return `${this.work}/archive`;
  }

  private blobOf({ digest, archiveSize }: MadeLayer): Made {
    return { digest, size: archiveSize, path: this.archivePath() };
  }

  private seal(chainId: string, parent: string | undefined, { diffId, digest, entries, size }: MadeLayer): void {
    const record = { chainId, diffId, ...(parent !== undefined && { parent }), blob: digest, mediaType: MEDIA_TYPES.layerGzip, size, entries };
    sealLayer(this.store, `${this.work}/layer`, record);
  }

  /** The configuration of the image below with what is new; all that is not known here stays as it is. */
  private makeConfig(base: ImageRecord, { diffIds }: ImageConfig, diffId: string | undefined, command: readonly string[]): Made {
    const { author, message, changes } = this.options;
    const old = JSON.parse(readBlob(this.store, base.config)) as RawConfig;
    const created = this.epoch === undefined ? this.host.timestamp() : momentOf(BigInt(this.epoch) * 1_000_000_000n).replace('.000000000Z', 'Z');
    const entry: HistoryEntry = {
      created,
      ...(author !== undefined && { author }),
      created_by: command.join(' '),
      ...(message !== undefined && { comment: message }),
      ...(diffId === undefined && { empty_layer: true }),
    };
    const config: RawConfig = {
      ...old,
      created,
      ...(author !== undefined && { author }),
      config: changed((old['config'] ?? {}) as RawConfig, changes),
      rootfs: { type: 'layers', diff_ids: [...diffIds, ...(diffId === undefined ? [] : [diffId])] },
      history: [...((old['history'] ?? []) as readonly unknown[]), entry],
    };
    for (const property of OF_THE_OLD_IMAGE) delete config[property];
    return this.makeDocument('config', config);
  }

  private makeManifest(base: ImageRecord, config: Made, archive: MadeLayer | undefined): Made {
    const { layers } = readImageManifest(this.store, base);
    const added = archive && { mediaType: MEDIA_TYPES.layerGzip, digest: archive.digest, size: archive.archiveSize };
    return this.makeDocument('manifest', {
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.manifest,
      config: { mediaType: MEDIA_TYPES.config, digest: config.digest, size: config.size },
      layers: [...layers.map(ociLayer), ...(added === undefined ? [] : [added])],
    });
  }

  private makeDocument(kind: string, document: object): Made {
    const { host } = this;
    const path = `${this.work}/${kind}`;
    const content = JSON.stringify(document);
    host.replaceFile(path, content, 0o600);
    return { digest: `sha256:${host.sha256(content)}`, size: host.stat(path)?.size ?? 0, path };
  }

  /** In the order of docs/store.md. */
  private async install(image: ImageRecord, chainId: string | undefined, blobs: readonly Made[]): Promise<readonly ImageRecord[]> {
    const { store, host, work } = this;
    this.check();
    // Of few files one by one: what others write to the file system is not waited for.
    if (!(await host.syncTree(work, FEW))) await host.syncFileSystem(work);
    this.check();
    for (const { path, digest } of blobs) installBlob(store, path, digest);
    await host.syncFile(`${store.root}/blobs/sha256`);
    // The same container committed before has put it there: then this one goes with the rest of `work`.
    if (chainId !== undefined) installLayer(store, `${work}/layer`, chainId);
    await host.syncFile(`${store.root}/layers`);
    return saveImages(store, [{ record: image, names: [this.name] }]);
  }
}

/** What Docker writes about the container of which an image was made, and where that was. */
const OF_THE_OLD_IMAGE = ['container', 'container_config', 'docker_version', 'id', 'parent'];

const OCI_TYPES: Readonly<Record<string, string>> = {
  [MEDIA_TYPES.dockerLayer]: MEDIA_TYPES.layer,
  [MEDIA_TYPES.dockerLayerGzip]: MEDIA_TYPES.layerGzip,
  'application/vnd.docker.image.rootfs.diff.tar.zstd': MEDIA_TYPES.layerZstd,
};

/** Docker's name for the same thing does not belong into a manifest of OCI's. */
function ociLayer(layer: Descriptor): Descriptor {
  return { ...layer, mediaType: OCI_TYPES[layer.mediaType] ?? layer.mediaType };
}
