/** Where things are in the store; see docs/store.md for the whole of its layout. */
import { digestParts } from '../image/digest.ts';

/** The store of root when nobody names one. */
export const DEFAULT_STORE = '/var/lib/strata';

/** Where content with this digest is. */
export function blobPath(root: string, digest: string): string {
  const { algorithm, hex } = digestParts(digest);
  return `${root}/blobs/${algorithm}/${hex}`;
}

/** The directory of a layer, by its chain id. */
export function layerPath(root: string, chainId: string): string {
  return `${root}/layers/${digestParts(chainId).hex}`;
}

/** What the kernel stacks. */
export function layerDiff(root: string, chainId: string): string {
  return `${layerPath(root, chainId)}/diff`;
}

export function imagePath(root: string, id: string): string {
  return `${root}/images/${digestParts(id).hex}.json`;
}

export function containersPath(root: string): string {
  return `${root}/containers`;
}

/** The directory of a container that was made of an image, which is its bundle. */
export function containerPath(root: string, id: string): string {
  return `${root}/containers/${id}`;
}

export function volumePath(root: string, name: string): string {
  return `${root}/volumes/${name}`;
}

/** What a volume holds. */
export function volumeData(root: string, name: string): string {
  return `${root}/volumes/${name}/data`;
}
