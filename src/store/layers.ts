/** Layers, unpacked, by chain id: two images whose lowest layers are the same share them. */
import { ERRNO, hasErrno } from '../base/fault.ts';
import { isDigest } from '../image/digest.ts';
import { defaulting, integer, object, optional, required, text, textLike } from '../spec/reader.ts';
import { layerPath } from './paths.ts';
import { damaged, readRecord } from './records.ts';
import { readId } from './references.ts';
import type { Store } from './store.ts';
import { listNames } from './store.ts';

/** layer.json */
export interface LayerRecord {
  /** `sha256:…` */
  readonly chainId: string;
  /** Digest of the uncompressed archive. */
  readonly diffId: string;
  /** Chain id of the layer below, if there is one. */
  readonly parent?: string;
  /** Digest of the archive as it came. */
  readonly blob: string;
  /** Of that archive. */
  readonly mediaType: string;
  /** Bytes of the content of files. */
  readonly size: number;
  /** Entries that the archive has. */
  readonly entries: number;
}

const COUNT = integer(0, Number.MAX_SAFE_INTEGER);
const readLayerFile = object<LayerRecord>({
  chainId: required(readId),
  diffId: required(readId),
  parent: optional(readId),
  blob: required(textLike(/^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$/, 'a digest')),
  mediaType: required(text),
  size: defaulting(COUNT, 0),
  entries: defaulting(COUNT, 0),
});

/** Chain ids of layers whose diff ids are given, bottom to top (config.md). `sha256`: hexadecimal digits of a text's digest. */
export function chainIds(diffIds: readonly string[], sha256: (text: string) => string): readonly string[] {
  const ids: string[] = [];
  for (const diffId of diffIds) {
    const below = ids.at(-1);
    ids.push(below === undefined ? diffId : `sha256:${sha256(`${below} ${diffId}`)}`);
  }
  return ids;
}

export function hasLayer({ host, root }: Store, chainId: string): boolean {
  return host.stat(`${layerPath(root, chainId)}/layer.json`) !== undefined;
}

/** The record of a layer, undefined if the store has not got it. @throws StrataError `store-damaged`. */
export function loadLayer(store: Store, chainId: string): LayerRecord | undefined {
  const what = `the record of layer ${chainId}`;
  const record = readRecord(store, `${layerPath(store.root, chainId)}/layer.json`, what, readLayerFile);
  if (record !== undefined && record.chainId !== chainId) damaged(what, 'it is that of another layer');
  return record;
}

/** Puts layer.json beside `diff` in a directory in `tmp`. What is there is to be brought to the disk before {@link installLayer}. */
export function sealLayer({ host }: Store, temporary: string, record: LayerRecord): void {
  host.createFile(`${temporary}/layer.json`, `${JSON.stringify(record)}\n`, 0o600);
}

/** Gives a sealed layer its place. False if another has it already: then `temporary` is the caller's to remove. */
export function installLayer({ host, root }: Store, temporary: string, chainId: string): boolean {
  try {
    host.rename(temporary, layerPath(root, chainId), false);
    return true;
  } catch (error) {
    if (hasErrno(error, ERRNO.EEXIST)) return false;
    throw error;
  }
}

/** Chain ids of the directories of layers, sorted; and the paths of what is none. */
export function listLayers(store: Store): { readonly chainIds: readonly string[]; readonly strangers: readonly string[] } {
  const names = listNames(store, `${store.root}/layers`);
  const isLayer = (name: string): boolean => isDigest(`sha256:${name}`);
  return {
    chainIds: names.filter(isLayer).map((name) => `sha256:${name}`),
    strangers: names.filter((name) => !isLayer(name)).map((name) => `layers/${name}`),
  };
}
