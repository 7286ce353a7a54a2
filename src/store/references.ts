/** references.json: which image each name means. */
import type { Reader } from '../spec/reader.ts';
import { map, textLike } from '../spec/reader.ts';
import { whileNaming } from './lock.ts';
import { readRecord } from './records.ts';
import type { Store } from './store.ts';
import { writeDurably } from './store.ts';

/** Ids of images by whole name, such as `docker.io/library/debian:12`. */
export type References = Readonly<Record<string, string>>;

/** `sha256:…`, which the id of an image and of a layer is. */
export const readId: Reader<string> = textLike(/^sha256:[0-9a-f]{64}$/, 'an id such as sha256:…');
const readReferencesFile = map(readId);

/** @throws StrataError `store-damaged`. */
export function readReferences(store: Store): References {
  return readRecord(store, referencesPath(store), 'the list of names, references.json,', readReferencesFile) ?? {};
}

/** Lets `change` change the names, and returns when that is on the disk. Nothing is written if nothing has changed. @throws StrataError. */
export function updateReferences(store: Store, change: (references: Map<string, string>) => void): Promise<void> {
  return whileNaming(store, () => changeReferences(store, change));
}

/** {@link updateReferences} for whoever holds the lock. */
export async function changeReferences(store: Store, change: (references: Map<string, string>) => void): Promise<void> {
  const before = Object.entries(readReferences(store));
  const references = new Map(before);
  change(references);
  if (references.size === before.length && before.every(([name, id]) => references.get(name) === id)) return;
  // In order, so that the file tells the same whoever came first; and as own properties, whatever their names.
  const sorted = Object.fromEntries([...references].sort(([a], [b]) => (a < b ? -1 : 1)));
  await writeDurably(store, referencesPath(store), `${JSON.stringify(sorted, undefined, 2)}\n`);
}

function referencesPath({ root }: Store): string {
  return `${root}/references.json`;
}

/** The names that mean the image, sorted. */
export function namesOf(references: References, id: string): readonly string[] {
  return Object.keys(references)
    .filter((name) => references[name] === id)
    .sort();
}
