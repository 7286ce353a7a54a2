/** What is to be imported of an archive: which images, of which layers, under which names. Only documents have been read for it. */
import { StrataError } from '../base/error.ts';
import { bounded } from '../base/pointer.ts';
import { digestParts, shortId } from '../image/digest.ts';
import { isForeignLayer, isIndexType, isManifestType, layerCompression } from '../image/media-types.ts';
import { LARGEST_DOCUMENT, parseDockerItems, parseImageConfig, parseIndex, parseLayout, parseManifest } from '../image/parse.ts';
import { architectureName, choose, platformFits, platformText } from '../image/platform.ts';
import type { Descriptor, ImageConfig, Platform } from '../image/types.ts';
import { whole } from './bytes.ts';
import { sha256, verify } from './digests.ts';
import type { Member, Members } from './members.ts';
import { need, normal } from './members.ts';

export interface Document {
  readonly digest: string;
  readonly content: Buffer;
}

export interface PlannedLayer {
  readonly diffId: string;
  readonly member: Member;
  /** Of the archive; where it has none, the content is known by its diff id alone. */
  readonly descriptor: Descriptor | undefined;
}

export interface PlannedImage {
  /** As the archive has them. */
  readonly names: readonly string[];
  readonly config: Document;
  /** A `docker save` without a layout has none. */
  readonly manifest: Document | undefined;
  /** Bottom to top. */
  readonly layers: readonly PlannedLayer[];
}

export interface Wanted {
  /** Whatever fits this machine, if not given. */
  readonly platform: Platform | undefined;
  readonly warn: (text: string) => void;
}

/** The platform of this machine. */
export function ownPlatform(): Platform {
  return { os: 'linux', architecture: architectureName(process.arch) };
}

/** @throws StrataError `image-invalid`. */
export async function planLayout(members: Members, wanted: Wanted): Promise<readonly PlannedImage[]> {
  parseLayout(await text(await need(members, 'oci-layout'), 'oci-layout'), 'oci-layout');
  const index = parseIndex(await text(await need(members, 'index.json'), 'index.json'), 'index.json');
  const named = Map.groupBy(index.manifests.filter(isImage), nameOf);
  const names = new Map<string, string[]>();
  const manifests = new Map<string, Descriptor>();
  for (const [name, descriptors] of named) {
    const found = await resolve(members, descriptors, wanted, 'index.json', 0);
    // A name can mean one image only: the first, as image-index.md says of what fits equally.
    for (const descriptor of name === '' ? found : found.slice(0, 1)) {
      manifests.set(descriptor.digest, descriptor);
      names.set(descriptor.digest, [...(names.get(descriptor.digest) ?? []), ...(name === '' ? [] : [name])]);
    }
  }
  if (manifests.size === 0) throw new StrataError({ code: 'image-invalid', reason: 'the index has no image' });
  const images: PlannedImage[] = [];
  for (const [digest, descriptor] of manifests) images.push(await planManifest(members, descriptor, names.get(digest) ?? [], wanted));
  return images;
}

/** @throws StrataError `image-invalid`. */
export async function planDocker(members: Members, wanted: Wanted): Promise<readonly PlannedImage[]> {
  const items = parseDockerItems(await text(await need(members, 'manifest.json'), 'manifest.json'), 'manifest.json');
  if (items.length === 0) throw new StrataError({ code: 'image-invalid', reason: 'manifest.json has no image' });
  const images: PlannedImage[] = [];
  for (const { config: path, repoTags, layers: paths } of items) {
    const content = await whole((await need(members, normal(path))).read(), LARGEST_DOCUMENT, path);
    const { diffIds } = readConfig(content, path, wanted);
    checkCount(paths.length, diffIds.length, path);
    const layers: PlannedLayer[] = [];
    for (const [at, layer] of paths.entries()) {
      layers.push({ diffId: diffIds[at] as string, member: await need(members, normal(layer)), descriptor: undefined });
    }
    images.push({ names: repoTags, config: { digest: `sha256:${sha256(content)}`, content }, manifest: undefined, layers });
  }
  return images;
}

/** What names an image in an index of a layout: containerd's name is a whole one, the specification's may be a tag. */
function nameOf({ annotations = {} }: Descriptor): string {
  return annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'] ?? '';
}

/** Not a signature, an attestation or another thing that is kept beside images. */
function isImage({ mediaType, platform, artifactType, annotations = {} }: Descriptor): boolean {
  if (!isIndexType(mediaType) && !isManifestType(mediaType)) return false;
  return artifactType === undefined && platform?.os !== 'unknown' && annotations['vnd.docker.reference.type'] === undefined;
}

/** Indexes in indexes. */
const DEEPEST = 4;

/** The manifests that are wanted of those in an index. */
async function resolve(
  members: Members,
  descriptors: readonly Descriptor[],
  wanted: Wanted,
  where: string,
  depth: number,
): Promise<readonly Descriptor[]> {
  const chosen = pick(descriptors, wanted, where);
  const manifests: Descriptor[] = [];
  for (const descriptor of chosen) {
    if (isManifestType(descriptor.mediaType)) {
      manifests.push(descriptor);
      continue;
    }
    const what = `index ${shortId(descriptor.digest)}`;
    if (depth === DEEPEST) throw new StrataError({ code: 'image-invalid', reason: `${what} is one of too many that are in each other` });
    const { content } = await readDocument(members, descriptor, what);
    const nested = parseIndex(decode(content, what), what).manifests.filter(isImage);
    const found = await resolve(members, nested, wanted, what, depth + 1);
    if (found[0] === undefined) throw new StrataError({ code: 'image-invalid', reason: `${what} has no image` });
    manifests.push(found[0]);
  }
  return manifests;
}

function pick(descriptors: readonly Descriptor[], { platform, warn }: Wanted, where: string): readonly Descriptor[] {
  const chosen = choose(descriptors, platform ?? ownPlatform());
  if (chosen.length > 0 || descriptors.length === 0) return chosen;
  const offered = [...new Set(descriptors.map((descriptor) => platformText(descriptor.platform ?? { os: '?', architecture: '?' })))].join(', ');
  if (platform === undefined && descriptors.length === 1) {
    warn(`the image is for ${offered}, which is not this machine's platform`);
    return descriptors;
  }
  const reason = bounded(`${where} has no image for ${platformText(platform ?? ownPlatform())}, only for ${offered}`);
  throw new StrataError({ code: 'image-invalid', reason, ...(platform === undefined && { hint: '--platform chooses another' }) });
}

async function planManifest(members: Members, descriptor: Descriptor, names: readonly string[], wanted: Wanted): Promise<PlannedImage> {
  const what = `manifest ${shortId(descriptor.digest)}`;
  const document = await readDocument(members, descriptor, what);
  const manifest = parseManifest(decode(document.content, what), what);
  const config = await readDocument(members, manifest.config, `configuration ${shortId(manifest.config.digest)}`);
  const { diffIds } = readConfig(config.content, `configuration ${shortId(config.digest)}`, wanted);
  checkCount(manifest.layers.length, diffIds.length, what);
  const layers: PlannedLayer[] = [];
  for (const [at, layer] of manifest.layers.entries()) {
    checkLayer(layer, at, what);
    layers.push({ diffId: diffIds[at] as string, member: await content(members, layer), descriptor: layer });
  }
  return { names, config, manifest: document, layers };
}

function checkLayer({ mediaType }: Descriptor, at: number, document: string): void {
  const refuse = (reason: string): never => {
    throw new StrataError({ code: 'image-invalid', document, pointer: `/layers/${at}/mediaType`, reason });
  };
  if (isForeignLayer(mediaType)) refuse('a foreign layer, which is not in archives but where its urls say');
  if (layerCompression(mediaType) === undefined) refuse(bounded(`not a layer that is supported but ${mediaType}`));
}

function checkCount(layers: number, diffIds: number, what: string): void {
  if (layers === diffIds) return;
  throw new StrataError({ code: 'image-invalid', reason: `${what} has ${layers} layers, and the image's configuration ${diffIds}` });
}

function readConfig(content: Buffer, what: string, { platform }: Wanted): ImageConfig {
  const config = parseImageConfig(decode(content, what), what);
  const { os, architecture, variant } = config;
  if (os !== 'linux')
    throw new StrataError({ code: 'image-invalid', document: what, pointer: '/os', reason: bounded(`an image for ${os}, not for linux`) });
  const offered: Platform = { os, architecture, ...(variant !== undefined && { variant }) };
  if (platform !== undefined && !platformFits(platform, offered))
    throw new StrataError({ code: 'image-invalid', reason: bounded(`the image is for ${platformText(offered)}, not for ${platformText(platform)}`) });
  return config;
}

async function readDocument(members: Members, descriptor: Descriptor, what: string): Promise<Document> {
  const { digest, size } = descriptor;
  if (size > LARGEST_DOCUMENT) throw new StrataError({ code: 'image-invalid', reason: `${what} is larger than ${LARGEST_DOCUMENT} bytes` });
  const bytes = await whole((await content(members, descriptor)).read(), LARGEST_DOCUMENT, what);
  verify(bytes, { digest, size }, what);
  return { digest, content: bytes };
}

/** What a descriptor means, in the archive or in the descriptor itself. */
async function content(members: Members, { digest, data }: Descriptor): Promise<Member> {
  const { algorithm, hex } = digestParts(digest);
  const path = `blobs/${algorithm}/${hex}`;
  if (data === undefined) return need(members, path);
  const bytes = Buffer.from(data, 'base64');
  async function* read(): AsyncGenerator<Buffer> {
    yield bytes;
  }
  return { name: path, size: bytes.length, read };
}

async function text(member: Member, what: string): Promise<string> {
  return decode(await whole(member.read(), LARGEST_DOCUMENT, what), what);
}

function decode(bytes: Buffer, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new StrataError({ code: 'image-invalid', reason: `${what} is not valid UTF-8` });
  }
}
