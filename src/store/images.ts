/** Images of the store, by id and by name. */
import { StrataError } from '../base/error.ts';
import { hasCode } from '../base/fault.ts';
import { bounded } from '../base/pointer.ts';
import { shortId } from '../image/digest.ts';
import { parseImageConfig, parseManifest } from '../image/parse.ts';
import { candidates, idDigits, nameToKeep, parseReference } from '../image/reference.ts';
import type { ImageConfig, Manifest } from '../image/types.ts';
import { list, object, required, text, textLike } from '../spec/reader.ts';
import { readBlob } from './blobs.ts';
import { whileNaming, whileUsing } from './lock.ts';
import { imagePath } from './paths.ts';
import { damaged, readRecord } from './records.ts';
import type { References } from './references.ts';
import { changeReferences, readId, readReferences, updateReferences } from './references.ts';
import type { Store } from './store.ts';
import { listNames, writeDurably } from './store.ts';

/** images/HEX.json */
export interface ImageRecord {
  /** `sha256:…`: the digest of the configuration. */
  readonly id: string;
  /** Digest of the manifest. */
  readonly manifest: string;
  /** Digest of the configuration: the id, unless the manifest gives it by SHA-512. */
  readonly config: string;
  /** Chain ids, bottom to top. */
  readonly layers: readonly string[];
  /** When it came into the store, RFC 3339. */
  readonly created: string;
}

export interface FoundImage {
  readonly image: ImageRecord;
  /** The whole name by which it was found, '' if it was by id or by digest. */
  readonly name: string;
}

const readDigest = textLike(/^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$/, 'a digest');
const readImageFile = object<ImageRecord>({
  id: required(readId),
  manifest: required(readDigest),
  config: required(readDigest),
  layers: required(list(readId)),
  created: required(text),
});

/** The image with this whole id, undefined if the store has none. @throws StrataError `store-damaged`. */
export function loadImage(store: Store, id: string): ImageRecord | undefined {
  const what = `the record of image ${id}`;
  const image = readRecord(store, imagePath(store.root, id), what, readImageFile);
  if (image !== undefined && image.id !== id) damaged(what, 'it is that of another image');
  return image;
}

/** An image whose blobs and layers are on the disk, and the whole names that it gets. */
export interface NewImage {
  readonly record: ImageRecord;
  readonly names: readonly string[];
}

/**
 * Gives images their records and names. Returns the records of images that were there with other manifests: perhaps nobody uses any more what those
 * are made of, and `removeSuperseded` is to look at that.
 */
export function saveImages(store: Store, images: readonly NewImage[]): Promise<readonly ImageRecord[]> {
  // Of several who save one image, each is told of the one before.
  return whileNaming(store, async () => {
    const superseded: ImageRecord[] = [];
    for (const { record } of images) {
      const before = readableImage(store, record.id);
      if (before !== undefined && before.manifest !== record.manifest) superseded.push(before);
      await writeDurably(store, imagePath(store.root, record.id), `${JSON.stringify(record)}\n`);
    }
    await changeReferences(store, (references) => {
      for (const { record, names } of images) for (const name of names) references.set(name, record.id);
    });
    return superseded;
  });
}

/** Undefined if its record is damaged, which is mended by saving it again. */
function readableImage(store: Store, id: string): ImageRecord | undefined {
  try {
    return loadImage(store, id);
  } catch (error) {
    if (hasCode(error, 'store-damaged')) return undefined;
    throw error;
  }
}

/** Ids of all images, sorted; and the paths of what is none. */
export function listImageIds(store: Store): { readonly ids: readonly string[]; readonly strangers: readonly string[] } {
  const names = listNames(store, `${store.root}/images`);
  const isRecord = (name: string): boolean => /^[0-9a-f]{64}\.json$/.test(name);
  return {
    ids: names.filter(isRecord).map((name) => `sha256:${name.slice(0, -'.json'.length)}`),
    strangers: names.filter((name) => !isRecord(name)).map((name) => `images/${name}`),
  };
}

/** All images, by id; one that is just going is left out. @throws StrataError `store-damaged`. */
export function listImages(store: Store): readonly ImageRecord[] {
  return listImageIds(store)
    .ids.map((id) => loadImage(store, id))
    .filter((image) => image !== undefined);
}

/**
 * The image that somebody means: by a name, short or whole; by 12 or more digits of its id; or by the digest of its manifest, alone or behind a
 * name. A name goes before an id that looks the same.
 *
 * @throws StrataError `image-not-found`, `usage`, `store-damaged`.
 */
export function findImage(store: Store, what: string): FoundImage {
  const digits = idDigits(what);
  const isName = !what.startsWith('sha256:') && digits?.length !== WHOLE_ID;
  const found = (isName ? byName(store, what) : undefined) ?? (digits === undefined ? undefined : byDigits(store, digits, what));
  if (found === undefined) throw imageNotFound(what);
  return found;
}

const WHOLE_ID = 64;

/** The whole name in the store that somebody means, undefined if there is none. @throws StrataError `usage`. */
export function findName(references: References, what: string): string | undefined {
  return candidates(what).find((name) => Object.hasOwn(references, name));
}

export function imageNotFound(what: string): StrataError {
  return new StrataError({ code: 'image-not-found', reason: bounded(`image does not exist: ${what}`) });
}

/** Gives an image these names too, which other images lose. @throws StrataError `usage` for a name that cannot be one, and as {@link findImage}. */
export async function nameImage(store: Store, what: string, names: readonly string[]): Promise<void> {
  const whole = names.map(nameToKeep);
  // Asked for before anything is locked: a store that does not exist has no locks.
  findImage(store, what);
  await whileUsing(store, async () => {
    const { id } = findImage(store, what).image;
    await updateReferences(store, (references) => {
      for (const name of whole) references.set(name, id);
    });
  });
}

function byName(store: Store, what: string): FoundImage | undefined {
  const { digest } = parseReference(what);
  const references = readReferences(store);
  const name = findName(references, what);
  if (name === undefined) return digest === undefined ? undefined : byManifest(store, what, digest);
  const id = references[name] as string;
  const image = loadImage(store, id);
  if (image === undefined) damaged(`the name ${name}`, `there is no image ${shortId(id)}`);
  return { image, name };
}

/** `name@digest`: the image with this manifest, if one of that name has it or had it. */
function byManifest(store: Store, what: string, digest: string): FoundImage | undefined {
  const image = listImages(store).find(({ manifest }) => manifest === digest);
  if (image === undefined) return undefined;
  const repositories = new Set(candidates(what.slice(0, what.indexOf('@'))).map(withoutTag));
  const references = readReferences(store);
  const known = Object.keys(references).some((name) => references[name] === image.id && repositories.has(withoutTag(name)));
  return known ? { image, name: '' } : undefined;
}

function withoutTag(name: string): string {
  const { domain, path } = parseReference(name);
  return `${domain}/${path}`;
}

function byDigits(store: Store, digits: string, what: string): FoundImage | undefined {
  const matches = listImageIds(store).ids.filter((id) => id.startsWith(`sha256:${digits}`));
  if (matches.length > 1) throw new StrataError({ code: 'usage', reason: `${what} could mean ${matches.length} images`, hint: 'give more digits' });
  const image = matches[0] === undefined ? undefined : loadImage(store, matches[0]);
  if (image !== undefined) return { image, name: '' };
  const byItsManifest = digits.length === WHOLE_ID ? listImages(store).find(({ manifest }) => manifest === `sha256:${digits}`) : undefined;
  return byItsManifest === undefined ? undefined : { image: byItsManifest, name: '' };
}

/** @throws StrataError `store-damaged`, `image-invalid`. */
export function readImageManifest(store: Store, image: ImageRecord): Manifest {
  return parseManifest(readBlob(store, image.manifest), `manifest ${shortId(image.manifest)}`);
}

/** @throws StrataError `store-damaged`, `image-invalid`. */
export function readImageConfig(store: Store, image: ImageRecord): ImageConfig {
  return parseImageConfig(readBlob(store, image.config), `configuration ${shortId(image.config)}`);
}
