/** Which images share which layers. */
import type { ImageRecord } from './images.ts';
import { namesOf, readReferences } from './references.ts';
import type { Store } from './store.ts';
import { layerSizes } from './usage.ts';

export interface TreeImage {
  readonly id: string;
  /** Whole, sorted. */
  readonly names: readonly string[];
}

/** A layer, with those that lie on it. */
export interface TreeLayer {
  readonly chainId: string;
  /** Bytes of its files. */
  readonly size: number;
  /** The images whose uppermost layer this is. */
  readonly images: TreeImage[];
  readonly above: TreeLayer[];
}

export interface ImageTree {
  /** The lowest layers. */
  readonly layers: readonly TreeLayer[];
  /** Images without layers. */
  readonly empty: readonly TreeImage[];
}

/** @throws StrataError `store-damaged`. */
export function treeOf(store: Store, images: readonly ImageRecord[]): ImageTree {
  const references = readReferences(store);
  const sizes = layerSizes(store);
  const root: TreeLayer = { chainId: '', size: 0, images: [], above: [] };
  const layers = new Map<string, TreeLayer>();
  for (const image of new Map(images.map((one) => [one.id, one])).values()) {
    let below = root;
    for (const chainId of image.layers) {
      let layer = layers.get(chainId);
      if (layer === undefined) {
        layer = { chainId, size: sizes.get(chainId) ?? 0, images: [], above: [] };
        layers.set(chainId, layer);
        below.above.push(layer);
      }
      below = layer;
    }
    below.images.push({ id: image.id, names: namesOf(references, image.id) });
  }
  return { layers: root.above, empty: root.images };
}
