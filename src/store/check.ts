/** Whether the records of the store fit together: what can be said without reading what they name. */
import { hasCode, messageOf } from '../base/fault.ts';
import { shortId } from '../image/digest.ts';
import { familiarName } from '../image/reference.ts';
import { hasBlob, listBlobs } from './blobs.ts';
import type { ImageRecord } from './images.ts';
import { listImageIds } from './images.ts';
import { hasLayer, listLayers, loadLayer } from './layers.ts';
import { containerPath, containersPath, layerDiff } from './paths.ts';
import type { Garbage } from './prune.ts';
import { findOrphans } from './prune.ts';
import type { Store } from './store.ts';
import { listNames } from './store.ts';
import type { Survey } from './usage.ts';
import { abandonedVolumes, blobsOf, survey } from './usage.ts';

/** Something that is wrong. */
export type Finding =
  /** A record that cannot be read, or something that does not belong into the store: nothing that strata could mend. */
  | { readonly kind: 'fault'; readonly text: string }
  /** A name that means an image which is not there. */
  | { readonly kind: 'name'; readonly name: string; readonly text: string }
  /** A layer that is needed, and is not there or not as it should be. */
  | { readonly kind: 'layer'; readonly chainId: string; readonly text: string }
  /** Something that nobody uses. */
  | { readonly kind: 'orphan'; readonly garbage: Garbage; readonly text: string };

/** While `locks/use` is held alone. @throws StrataError `system`. */
export async function examine(store: Store): Promise<readonly Finding[]> {
  const seen = survey(store);
  const findings: Finding[] = seen.faults.map((text) => ({ kind: 'fault', text }));
  const fault = (text: string): void => {
    findings.push({ kind: 'fault', text });
  };
  const present = new Set(listImageIds(store).ids);
  for (const [name, id] of Object.entries(seen.references)) {
    if (!present.has(id)) findings.push({ kind: 'name', name, text: `the name ${familiarName(name)} means image ${shortId(id)}, which is missing` });
  }
  for (const image of seen.images) for (const text of imageFaults(store, image)) fault(text);
  for (const { id, image } of seen.holders) if (!present.has(image)) fault(`container ${id} is of image ${shortId(image)}, which is missing`);
  for (const [chainId, user] of neededLayers(seen)) {
    const text = layerFault(store, chainId);
    if (text !== undefined) findings.push({ kind: 'layer', chainId, text: `layer ${shortId(chainId)}, which ${user} needs, ${text}` });
  }
  for (const path of strangers(store)) fault(`${path} does not belong into the store`);
  for (const text of abandonedVolumes(store, seen.holders).faults) fault(text);
  for (const garbage of await findOrphans(store, seen)) {
    const name = garbage.kind === 'leftover' ? garbage.name : `${garbage.kind} ${garbage.kind === 'volume' ? garbage.name : shortId(garbage.name)}`;
    findings.push({ kind: 'orphan', garbage, text: `${name} belongs to nothing` });
  }
  return findings;
}

function imageFaults(store: Store, image: ImageRecord): readonly string[] {
  try {
    const missing = blobsOf(store, image).filter((digest) => !hasBlob(store, digest));
    return missing.map((digest) => `blob ${shortId(digest)} of image ${shortId(image.id)} is missing`);
  } catch (error) {
    if (!(hasCode(error, 'store-damaged') || hasCode(error, 'image-invalid'))) throw error;
    return [`image ${shortId(image.id)}: ${messageOf(error)}`];
  }
}

/** Chain ids, and who needs each. */
function neededLayers({ images, holders }: Survey): ReadonlyMap<string, string> {
  const needed = new Map<string, string>();
  for (const { id, layers } of holders) for (const chainId of layers) needed.set(chainId, `container ${id}`);
  for (const { id, layers } of images) for (const chainId of layers) needed.set(chainId, `image ${shortId(id)}`);
  return needed;
}

function layerFault(store: Store, chainId: string): string | undefined {
  if (!hasLayer(store, chainId)) return 'is missing';
  if (store.host.stat(layerDiff(store.root, chainId))?.type !== 'directory') return 'has no directory';
  try {
    loadLayer(store, chainId);
    return undefined;
  } catch (error) {
    if (!hasCode(error, 'store-damaged')) throw error;
    return `has no record that can be read: ${messageOf(error)}`;
  }
}

const TOP = ['format', 'locks', 'blobs', 'layers', 'images', 'references.json', 'containers', 'volumes', 'tmp', 'lost+found'];

function strangers(store: Store): readonly string[] {
  const top = listNames(store, store.root).filter((name) => !(TOP.includes(name) || name.startsWith('.format.tmp.')));
  const files = listNames(store, containersPath(store.root)).filter((id) => store.host.stat(containerPath(store.root, id))?.type !== 'directory');
  return [
    ...top,
    ...files.map((name) => `containers/${name}`),
    ...listBlobs(store).strangers,
    ...listLayers(store).strangers,
    ...listImageIds(store).strangers,
  ];
}
