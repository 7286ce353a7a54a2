/** What is told of images: with their names, sizes, and what they share. */
import { platformText } from '../image/platform.ts';
import type { ExecutionConfig, HistoryEntry } from '../image/types.ts';
import type { ImageRecord } from './images.ts';
import { listImageIds, listImages, loadImage, readImageConfig } from './images.ts';
import type { LayerRecord } from './layers.ts';
import { loadLayer } from './layers.ts';
import { damaged, readable } from './records.ts';
import { namesOf, readReferences } from './references.ts';
import type { Store } from './store.ts';
import { layerShares } from './usage.ts';

export interface ImageSummary {
  readonly id: string;
  /** Whole, sorted. */
  readonly names: readonly string[];
  /** Digest of the manifest. */
  readonly manifest: string;
  /** RFC 3339, '' if the image does not say. */
  readonly created: string;
  /** When it came into the store. */
  readonly imported: string;
  /** Such as `linux/amd64`. */
  readonly platform: string;
  /** How many layers it has. */
  readonly layers: number;
  /** Bytes of the files in all its layers. */
  readonly size: number;
  /** Of these, bytes in layers that other images have too. */
  readonly shared: number;
}

/** An image as a whole. */
export interface ImageDescription extends Omit<ImageSummary, 'layers'> {
  readonly author?: string;
  readonly config: ExecutionConfig;
  /** Bottom to top. */
  readonly layers: readonly LayerRecord[];
  readonly history: readonly HistoryEntry[];
}

/** A step by which the image was made. */
export interface Step {
  /** Chain id of the layer that it made, '' if none. */
  readonly layer: string;
  readonly created: string;
  readonly createdBy: string;
  readonly author: string;
  readonly comment: string;
  /** Bytes of the files in the layer. */
  readonly size: number;
}

/** All images of the store, the newest first. One that is damaged is left out with a warning. @throws StrataError `store-damaged` for the names. */
export function summarize(store: Store, warn?: (text: string) => void): readonly ImageSummary[] {
  const told = (text: string): void => warn?.(text);
  const images = listImageIds(store).ids.flatMap((id) => readable(() => loadImage(store, id), told));
  const references = readReferences(store);
  const shares = layerShares(images);
  const records = new Map<string, LayerRecord>();
  const summary = (image: ImageRecord): ImageSummary => {
    const { created = '', ...config } = readImageConfig(store, image);
    const layers = image.layers.map((chainId) => {
      const record = records.get(chainId) ?? layerOf(store, chainId);
      records.set(chainId, record);
      return record;
    });
    return {
      id: image.id,
      names: namesOf(references, image.id),
      manifest: image.manifest,
      created,
      imported: image.created,
      platform: platformText(config),
      layers: image.layers.length,
      size: sum(layers),
      shared: sum(layers.filter(({ chainId }) => (shares.get(chainId) ?? 0) > 1)),
    };
  };
  const summaries = images.flatMap((image) => readable(() => summary(image), told));
  return summaries.sort((a, b) => (a.created === b.created ? 0 : a.created < b.created ? 1 : -1));
}

/** @throws StrataError `store-damaged`, `image-invalid`. */
export function describeImage(store: Store, image: ImageRecord): ImageDescription {
  const { created = '', author, config, history, ...platform } = readImageConfig(store, image);
  const layers = image.layers.map((chainId) => layerOf(store, chainId));
  const shares = layerShares(listImages(store));
  return {
    id: image.id,
    names: namesOf(readReferences(store), image.id),
    manifest: image.manifest,
    created,
    imported: image.created,
    platform: platformText(platform),
    ...(author !== undefined && { author }),
    size: sum(layers),
    shared: sum(layers.filter(({ chainId }) => (shares.get(chainId) ?? 0) > 1)),
    config,
    layers,
    history,
  };
}

/** The steps that the image tells of, from the first on, each with its layer; then layers that it tells nothing of. */
export function stepsOf({ history: entries, layers }: ImageDescription): Step[] {
  const rest = [...layers];
  const steps = entries.map((entry) => {
    const layer = entry.empty_layer === true ? undefined : rest.shift();
    const { created = '', created_by: createdBy = '', author = '', comment = '' } = entry;
    return { layer: layer?.chainId ?? '', created, createdBy, author, comment, size: layer?.size ?? 0 };
  });
  const untold = rest.map(({ chainId, size }) => ({ layer: chainId, created: '', createdBy: '', author: '', comment: '', size }));
  return [...steps, ...untold];
}

/** The record of a layer that an image has. @throws StrataError `store-damaged`. */
export function layerOf(store: Store, chainId: string): LayerRecord {
  return loadLayer(store, chainId) ?? damaged(`the store ${store.root}`, `layer ${chainId} is missing`);
}

function sum(layers: readonly LayerRecord[]): number {
  return layers.reduce((total, { size }) => total + size, 0);
}
