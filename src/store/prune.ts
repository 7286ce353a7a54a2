/** Removing: images that somebody names, and all that nobody uses. */
import { StrataError } from '../base/error.ts';
import { hasCode, messageOf } from '../base/fault.ts';
import { shortId } from '../image/digest.ts';
import { familiarName } from '../image/reference.ts';
import { listBlobs } from './blobs.ts';
import type { FoundImage, ImageRecord } from './images.ts';
import { findImage } from './images.ts';
import { listLayers, loadLayer } from './layers.ts';
import { whileRemoving, whileUsing } from './lock.ts';
import { blobPath, containerPath, imagePath, layerPath, volumePath } from './paths.ts';
import { namesOf, updateReferences } from './references.ts';
import type { Store } from './store.ts';
import { listNames, temporaryPath } from './store.ts';
import type { Survey } from './usage.ts';
import { abandonedVolumes, blobsOf, holdersOf, survey } from './usage.ts';

/** Something that nobody uses. */
export interface Garbage {
  /** `leftover`: what somebody who was killed has left. */
  readonly kind: 'image' | 'layer' | 'blob' | 'volume' | 'leftover';
  /** The id or digest; of a leftover the path in the store. */
  readonly name: string;
  readonly path: string;
  /** In bytes, as far as files have them. */
  readonly size: number;
}

export interface PruneOptions {
  /** Also images that have a name, if no container uses them. */
  readonly all: boolean;
  /** Tells what would be removed. */
  readonly dryRun: boolean;
  /** Ids of containers that are to be taken as gone. */
  readonly without?: ReadonlySet<string>;
}

export interface Pruned {
  readonly garbage: readonly Garbage[];
  /** Damaged records, because of which things are kept that perhaps nobody uses. */
  readonly faults: readonly string[];
}

/** Removes what nobody uses; never what is in use, whatever others are doing. @throws StrataError `locked`, `system`. */
export async function prune(store: Store, { all, dryRun, without = new Set() }: PruneOptions): Promise<Pruned> {
  if (store.host.stat(store.root) === undefined) return { garbage: [], faults: [] };
  const doomed: string[] = [];
  const pruned = await whileRemoving(store, async () => {
    const seen = survey(store);
    const remaining = { ...seen, holders: seen.holders.filter(({ id }) => !without.has(id)) };
    const named = new Set(all ? [] : Object.values(seen.references));
    const found = await findGarbage(store, remaining, (image) => !named.has(image.id));
    if (!dryRun) {
      const going = new Set(found.garbage.filter(({ kind }) => kind === 'image').map(({ name }) => name));
      if (going.size > 0) {
        await updateReferences(store, (names) => {
          for (const [name, id] of names) if (going.has(id)) names.delete(name);
        });
      }
      doomed.push(...(await takeAway(store, found.garbage)));
      removeLockDirectories(store);
    }
    return found;
  });
  await removeAll(store, doomed);
  return pruned;
}

/** What nobody uses, images without a name left alone. While `locks/use` is held alone. */
export async function findOrphans(store: Store, seen: Survey): Promise<readonly Garbage[]> {
  const { garbage } = await findGarbage(store, seen, () => false);
  return garbage;
}

export interface RemovedImage {
  /** Names that the image had, whole. */
  readonly names: readonly string[];
  /** Its id, if it is gone too and not the names alone. */
  readonly id?: string;
  readonly garbage: readonly Garbage[];
}

/**
 * Takes a name away, and with its last name the image; by id the image itself. `force`: also several names at once; and an image that a container
 * uses, which then goes when `prune` finds it without one.
 *
 * @throws StrataError `image-not-found`, `in-use`, `locked`, `system`.
 */
export async function removeImage(store: Store, what: string, force: boolean): Promise<RemovedImage> {
  findImage(store, what);
  const doomed: string[] = [];
  const removed = await whileRemoving(store, async () => {
    const found = findImage(store, what);
    const seen = survey(store);
    const all = namesOf(seen.references, found.image.id);
    const names = found.name === '' ? all : [found.name];
    const isLast = names.length === all.length;
    checkRemoval(found, { names, isLast, what, force }, seen);
    await updateReferences(store, (references) => {
      for (const name of names) references.delete(name);
    });
    if (!isLast || holdersOf(seen, found.image.id).length > 0) return { names, garbage: [] };
    const parts = new Set([found.image.id, ...found.image.layers, ...readableBlobs(store, found.image)]);
    const { garbage } = await findGarbage(store, seen, ({ id }) => id === found.image.id, parts);
    doomed.push(...(await takeAway(store, garbage)));
    return { names, garbage, ...(garbage.some(({ kind }) => kind === 'image') && { id: found.image.id }) };
  });
  await removeAll(store, doomed);
  return removed;
}

/**
 * Removes what images were made of before they came again with other manifests, as far as nobody uses it. To be called when `locks/use` is free
 * again; if others do not let go of it, `prune` finds the same.
 *
 * @throws StrataError `system`.
 */
export async function removeSuperseded(store: Store, images: readonly ImageRecord[], warn: (text: string) => void): Promise<void> {
  if (images.length === 0) return;
  const doomed: string[] = [];
  try {
    await whileRemoving(store, async () => {
      const parts = new Set(images.flatMap((image) => readableBlobs(store, image)));
      const { garbage } = await findGarbage(store, survey(store), () => false, parts);
      doomed.push(...(await takeAway(store, garbage)));
    });
  } catch (error) {
    if (!hasCode(error, 'locked')) throw error;
    warn(`what the image was made of before stays until strata prune: ${messageOf(error)}`);
  }
  await removeAll(store, doomed);
}

interface Removal {
  readonly names: readonly string[];
  readonly isLast: boolean;
  readonly what: string;
  readonly force: boolean;
}

function checkRemoval({ image, name }: FoundImage, { names, isLast, what, force }: Removal, seen: Survey): void {
  if (force) return;
  const holders = holdersOf(seen, image.id);
  if (isLast && holders.length > 0) {
    const those = holders.length === 1 ? `container ${holders[0]}` : `containers ${holders.join(', ')}`;
    const hint = 'delete what uses it first; --force takes its names away';
    throw new StrataError({ code: 'in-use', reason: `image ${what} is in use by ${those}`, hint });
  }
  if (name === '' && names.length > 1) {
    const reason = `image ${what} has several names: ${names.map(familiarName).join(', ')}`;
    throw new StrataError({ code: 'in-use', reason, hint: '--force removes all of them' });
  }
}

function readableBlobs(store: Store, image: ImageRecord): readonly string[] {
  try {
    return blobsOf(store, image);
  } catch (error) {
    // What cannot be read names nothing; prune finds its blobs.
    if (hasCode(error, 'store-damaged') || hasCode(error, 'image-invalid')) return [image.manifest, image.config];
    throw error;
  }
}

/**
 * Everything that nobody would use if the images went that `goes` chooses among those without a container. `parts`: only what is among these.
 * While a record is damaged, whatever that could use stays.
 */
async function findGarbage(
  store: Store,
  seen: Survey,
  goes: (image: ImageRecord) => boolean,
  parts?: ReadonlySet<string>,
): Promise<{ garbage: Garbage[]; faults: string[] }> {
  const { host, root } = store;
  const garbage: Garbage[] = [];
  const faults = [...seen.faults];
  const sound = faults.length === 0;
  const held = new Set(seen.holders.map(({ image }) => image));
  const layers = new Set(seen.holders.flatMap((holder) => holder.layers));
  const blobs = new Set<string>();
  for (const image of seen.images) {
    if (sound && !held.has(image.id) && goes(image)) {
      garbage.push({ kind: 'image', name: image.id, path: imagePath(root, image.id), size: 0 });
      continue;
    }
    for (const chainId of image.layers) layers.add(chainId);
    try {
      for (const digest of blobsOf(store, image)) blobs.add(digest);
    } catch (error) {
      if (!(hasCode(error, 'store-damaged') || hasCode(error, 'image-invalid'))) throw error;
      faults.push(messageOf(error));
    }
  }
  const isWanted = (name: string): boolean => parts === undefined || parts.has(name);
  const going = new Map<string, number>();
  for (const chainId of listLayers(store).chainIds) {
    const stays = layers.has(chainId) || !sound || !isWanted(chainId);
    // Which archive one is from that goes anyway is nobody's concern.
    const record = readableLayer(store, chainId, stays ? faults : []);
    if (!stays) going.set(chainId, record?.size ?? 0);
    else if (record !== undefined) blobs.add(record.blob);
  }
  for (const [name, size] of going) garbage.push({ kind: 'layer', name, path: layerPath(root, name), size });
  for (const digest of faults.length === 0 ? listBlobs(store).digests : []) {
    if (!blobs.has(digest) && isWanted(digest)) {
      garbage.push({ kind: 'blob', name: digest, path: blobPath(root, digest), size: host.stat(blobPath(root, digest))?.size ?? 0 });
    }
  }
  if (parts === undefined) {
    const leftovers = await findLeftovers(store, seen);
    garbage.push(...leftovers.garbage);
    faults.push(...leftovers.faults);
  }
  return { garbage, faults };
}

function readableLayer(store: Store, chainId: string, faults: string[]): ReturnType<typeof loadLayer> {
  try {
    return loadLayer(store, chainId);
  } catch (error) {
    if (!hasCode(error, 'store-damaged')) throw error;
    faults.push(messageOf(error));
    return undefined;
  }
}

/** While `locks/use` is held alone, nobody is at work in `tmp`. */
async function findLeftovers(store: Store, { holders, empty, faults }: Survey): Promise<{ garbage: Garbage[]; faults: readonly string[] }> {
  const { host, root } = store;
  const paths = listNames(store, `${root}/tmp`).map((name) => `tmp/${name}`);
  for (const id of empty) {
    // Whoever is in a container or about to take it away holds its directory.
    const lock = host.tryLock(containerPath(root, id));
    if (lock === undefined) continue;
    host.close(lock);
    paths.push(`containers/${id}`);
  }
  const garbage: Garbage[] = [];
  for (const path of paths) {
    garbage.push({ kind: 'leftover', name: path, path: `${root}/${path}`, size: await sizeOf(store, `${root}/${path}`) });
  }
  const abandoned = abandonedVolumes(store, holders);
  for (const name of faults.length === 0 ? abandoned.names : []) {
    garbage.push({ kind: 'volume', name, path: volumePath(root, name), size: await sizeOf(store, volumePath(root, name)) });
  }
  return { garbage, faults: abandoned.faults };
}

/** Another process may be removing it at this moment, as it does with what it has taken into `tmp`. */
async function sizeOf({ host }: Store, path: string): Promise<number> {
  const status = host.stat(path);
  if (status?.type !== 'directory') return status?.size ?? 0;
  try {
    return await host.diskUsage(path);
  } catch (error) {
    if (host.stat(path) === undefined) return 0;
    throw error;
  }
}

/**
 * Takes everything out of its place, from the top down, each step on the disk before the next, while `locks/use` is held alone. Directories only go to
 * `tmp`: their paths there are returned, for {@link removeAll} when the lock is free again.
 */
export async function takeAway(store: Store, garbage: readonly Garbage[]): Promise<string[]> {
  const { host, root } = store;
  const images = garbage.filter(({ kind }) => kind === 'image');
  for (const { path } of images) host.removeFile(path);
  if (images.length > 0) await host.syncFile(`${root}/images`);
  const doomed: string[] = [];
  for (const { kind, path } of garbage) {
    if (kind === 'leftover' && path.startsWith(`${root}/tmp/`)) {
      doomed.push(path);
    } else if (kind === 'layer' || kind === 'volume' || kind === 'leftover') {
      const temporary = temporaryPath(store);
      host.rename(path, temporary, false);
      doomed.push(temporary);
    }
  }
  if (garbage.some(({ kind }) => kind === 'layer')) await host.syncFile(`${root}/layers`);
  for (const { kind, path } of garbage) if (kind === 'blob') host.removeFile(path);
  return doomed;
}

/** Others can add meanwhile, and whoever wants to remove has to wait: he would take the same for a leftover. */
export async function removeAll(store: Store, doomed: readonly string[]): Promise<void> {
  if (doomed.length === 0) return;
  await whileUsing(store, async () => {
    for (const path of doomed) await store.host.removeTree(path);
  });
}

function removeLockDirectories(store: Store): void {
  const directory = `${store.root}/locks/layers`;
  for (const name of listNames(store, directory)) store.host.removeDirectory(`${directory}/${name}`);
}

/** One line for people. */
export function garbageText({ kind, name }: Garbage): string {
  return kind === 'image' || kind === 'layer' || kind === 'blob' ? `${kind} ${shortId(name)}` : `${kind} ${name}`;
}
