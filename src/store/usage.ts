/** Who uses what: names and containers use images, images and containers use layers, images use blobs. */
import { ERRNO, hasCode, hasErrno, messageOf } from '../base/fault.ts';
import { defaulting, list, object, optional, required, text } from '../spec/reader.ts';
import type { ImageRecord } from './images.ts';
import { listImageIds, loadImage, readImageManifest } from './images.ts';
import { listLayers, loadLayer } from './layers.ts';
import { containerPath, containersPath, volumePath } from './paths.ts';
import { damaged, readable, readRecord } from './records.ts';
import type { References } from './references.ts';
import { readId, readReferences } from './references.ts';
import type { Store } from './store.ts';
import { listNames } from './store.ts';

/** What a container keeps in the store, of its container.json. */
export interface Holder {
  readonly id: string;
  /** Id of its image. */
  readonly image: string;
  /** Chain ids. */
  readonly layers: readonly string[];
  readonly volumes: readonly { readonly name: string }[];
}

const readHolder = object<Holder>({
  id: required(text),
  image: required(readId),
  layers: required(list(readId)),
  volumes: defaulting(list(object<{ readonly name: string }>({ name: required(text) })), []),
});

/** The store's records at one moment: read it under a lock, if anything is to be done because of it. */
export interface Survey {
  readonly references: References;
  readonly images: readonly ImageRecord[];
  readonly holders: readonly Holder[];
  /** Ids of directories of containers without a record. */
  readonly empty: readonly string[];
  /** What is wrong with records that cannot be read. While there is anything, nobody knows all that is used. */
  readonly faults: readonly string[];
}

export function survey(store: Store): Survey {
  const faults: string[] = [];
  const fault = (text: string): void => {
    faults.push(text);
  };
  const references = readable(() => readReferences(store), fault)[0] ?? {};
  const images = listImageIds(store).ids.flatMap((id) => readable(() => loadImage(store, id), fault));
  const holders: Holder[] = [];
  const empty: string[] = [];
  for (const id of listNames(store, containersPath(store.root))) {
    if (store.host.stat(containerPath(store.root, id))?.type !== 'directory') continue;
    const before = faults.length;
    const found = readable(() => loadHolder(store, id), fault);
    holders.push(...found);
    if (found.length === 0 && faults.length === before) empty.push(id);
  }
  return { references, images, holders, empty, faults };
}

/** The record of a container, undefined if there is none. @throws StrataError `store-damaged`. */
export function loadHolder(store: Store, id: string): Holder | undefined {
  const holder = readRecord(store, `${containerPath(store.root, id)}/container.json`, `the record of container ${id}`, readHolder);
  // A rename changes the directory first.
  return holder && { ...holder, id };
}

/** Ids of the containers that were made of the image. */
export function holdersOf({ holders }: Survey, image: string): readonly string[] {
  return holders.filter((holder) => holder.image === image).map(({ id }) => id);
}

/** The blobs that an image is made of. @throws StrataError `store-damaged`, `image-invalid` if its manifest cannot be read. */
export function blobsOf(store: Store, image: ImageRecord): readonly string[] {
  return [image.manifest, image.config, ...readImageManifest(store, image).layers.map(({ digest }) => digest)];
}

/** Bytes of the files in each layer, by chain id. */
export function layerSizes(store: Store): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const chainId of listLayers(store).chainIds) sizes.set(chainId, loadLayer(store, chainId)?.size ?? 0);
  return sizes;
}

/** How many images have each layer, by chain id. */
export function layerShares(images: readonly ImageRecord[]): ReadonlyMap<string, number> {
  const shares = new Map<string, number>();
  for (const { layers } of images) for (const chainId of new Set(layers)) shares.set(chainId, (shares.get(chainId) ?? 0) + 1);
  return shares;
}

const readVolume = object<{ readonly anonymous?: boolean }>({ anonymous: optional((value) => value === true) });

/** Names of the volumes that went with a container and have none any more; and what is wrong with records of volumes. */
export function abandonedVolumes(
  store: Store,
  holders: readonly Holder[],
): { readonly names: readonly string[]; readonly faults: readonly string[] } {
  const used = new Set(holders.flatMap(({ volumes }) => volumes.map(({ name }) => name)));
  const names: string[] = [];
  const faults: string[] = [];
  for (const name of listNames(store, `${store.root}/volumes`)) {
    try {
      const path = `${volumePath(store.root, name)}/volume.json`;
      const { anonymous } = readRecord(store, path, `the record of volume ${name}`, readVolume) ?? damaged(`volume ${name}`, 'it has no record');
      if (anonymous === true && !used.has(name)) names.push(name);
    } catch (error) {
      if (!(hasCode(error, 'store-damaged') || hasErrno(error, ERRNO.ENOTDIR))) throw error;
      faults.push(messageOf(error));
    }
  }
  return { names, faults };
}
