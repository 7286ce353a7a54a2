/**
 * Images of a store.
 *
 * @example
 * const [image] = await strata.images.import({ source: 'debian.tar', onProgress: ({ bytes, total }) => console.log(bytes, total) });
 * for (const { id, names, size } of await strata.images.list()) console.log(id, names, size);
 */
import type { ExportFormat, ExportProgress, ImportedImage, ImportProgress } from '../archive/archive.ts';
import { createArchive } from '../archive/index.ts';
import { parsePlatform } from '../image/platform.ts';
import type { Limits } from '../layer/filter.ts';
import { findImage, listImages, nameImage } from '../store/images.ts';
import type { Pruned } from '../store/prune.ts';
import { prune as pruneStore, removeImage } from '../store/prune.ts';
import type { ImageDescription, ImageSummary, Step } from '../store/summary.ts';
import { describeImage, stepsOf, summarize } from '../store/summary.ts';
import type { ImageTree } from '../store/tree.ts';
import { treeOf } from '../store/tree.ts';
import { host } from './machine.ts';
import type { StoreOptions, WorkOptions } from './store.ts';
import { opened, working } from './store.ts';

export interface ImageOptions extends StoreOptions {
  /** A name such as `debian:12`, or 12 or more digits of the id. */
  readonly image: string;
}

export interface ImportOptions extends WorkOptions {
  /** An OCI image layout, a directory or an archive of it; an archive of `docker save` or `podman save`; an archive of a root file system. */
  readonly source: string;
  /** The name of the one image, in place of those in the archive. */
  readonly name?: string;
  /** Which image of several: `os/architecture[/variant]`; this machine's if absent. */
  readonly platform?: string;
  /** Against archives that would fill the disk. */
  readonly limits?: Partial<Limits>;
  readonly onProgress?: (event: ImportProgress) => void;
}

export interface ExportOptions extends WorkOptions {
  /** Names or ids. */
  readonly images: readonly string[];
  /** The file, or for `oci` the directory, which must not exist or be empty. */
  readonly output: string;
  /** @default 'oci-archive' */
  readonly format?: ExportFormat;
  readonly onProgress?: (event: ExportProgress) => void;
}

export interface TagOptions extends ImageOptions {
  readonly names: readonly string[];
}

export interface VerifyOptions extends WorkOptions {
  /** Names or ids. */
  readonly images: readonly string[];
  /** What is looked at next. */
  readonly onProgress?: (what: string) => void;
}

export interface RemoveOptions extends ImageOptions {
  /** Also several names at once, and an image that a container uses, which then loses its names. */
  readonly force?: boolean;
}

export interface PruneOptions extends StoreOptions {
  /** Also images that have a name, if no container uses them. */
  readonly all?: boolean;
  /** Only tell what would be removed. */
  readonly dryRun?: boolean;
}

/** Adds images to the store, which is made if it does not exist. What is not true of an archive is an error, and then nothing is added. */
async function importImages(options: ImportOptions): Promise<readonly ImportedImage[]> {
  const { source, name, platform, limits, onProgress } = options;
  return createArchive(host()).importImages({
    ...working(options),
    source,
    ...(name !== undefined && { name }),
    ...(platform !== undefined && { platform: parsePlatform(platform) }),
    ...(limits !== undefined && { limits }),
    ...(onProgress !== undefined && { progress: onProgress }),
  });
}

export { importImages as import };

/** Writes images into an archive: of the same images always the same bytes. */
async function exportImages(options: ExportOptions): Promise<void> {
  const { images, output, format = 'oci-archive', onProgress } = options;
  await createArchive(host()).exportImages({
    ...working(options),
    images,
    output,
    format,
    ...(onProgress !== undefined && { progress: onProgress }),
  });
}

export { exportImages as export };

/** All images, the newest first. */
export async function list(options: StoreOptions = {}): Promise<readonly ImageSummary[]> {
  return summarize(opened(options));
}

/** Everything about one image. */
export async function inspect(options: ImageOptions): Promise<ImageDescription> {
  const store = opened(options);
  return describeImage(store, findImage(store, options.image).image);
}

/** The steps by which an image was made, the first one first. */
export async function history(options: ImageOptions): Promise<readonly Step[]> {
  return stepsOf(await inspect(options));
}

/** Which images share which layers. */
export async function tree(options: StoreOptions = {}): Promise<ImageTree> {
  const store = opened(options);
  return treeOf(store, listImages(store));
}

/** Gives an image more names, which other images lose. */
export async function tag(options: TagOptions): Promise<void> {
  await nameImage(opened(options), options.image, options.names);
}

/** Compares everything that images are made of with its digests, on the disk too; what is wrong, one line each. */
export async function verify(options: VerifyOptions): Promise<readonly string[]> {
  const { images, onProgress } = options;
  const { store, checkpoint } = working(options);
  return createArchive(host()).verifyImages({ store, checkpoint, images, ...(onProgress !== undefined && { progress: onProgress }) });
}

/** Takes a name away, and with its last name the image; by id the image itself. */
export async function remove(options: RemoveOptions): Promise<{ readonly names: readonly string[]; readonly id?: string }> {
  const { names, id } = await removeImage(opened(options), options.image, options.force ?? false);
  return { names, ...(id !== undefined && { id }) };
}

/** Removes images without a name, and layers and leftovers that nobody uses. */
export async function prune(options: PruneOptions = {}): Promise<Pruned> {
  const { all = false, dryRun = false } = options;
  return pruneStore(opened(options), { all, dryRun });
}

export type { ExportFormat, ExportProgress, ImageDescription, ImageSummary, ImageTree, ImportedImage, ImportProgress, Limits, Pruned, Step };
