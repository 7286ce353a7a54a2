/**
 * Documents of images from their texts, with a JSON pointer to what is wrong. Everything in them was written by others: a property of the wrong type is
 * an error, one that the specification does not name is not looked at.
 *
 * `run --image` reads a manifest and a configuration: the engine's own JSON.parse does it, and only a text that it refuses is read again for where and why.
 */
import type { StrataError } from '../base/error.ts';
import { isOutOfMemory, isStackOverflow, withFields } from '../base/error.ts';
import { hasCode } from '../base/fault.ts';
import { parseExact } from '../base/json.ts';
import type { Reader } from '../spec/reader.ts';
import {
  defaulting,
  flag,
  integer,
  list,
  map,
  mismatch,
  mismatchAt,
  object,
  optional,
  readWhole,
  required,
  someText,
  text,
  textLike,
  texts,
} from '../spec/reader.ts';
import { isDigest } from './digest.ts';
import { isConfigType, isIndexType, isManifestType, MEDIA_TYPES } from './media-types.ts';
import type { Descriptor, ExecutionConfig, HistoryEntry, ImageConfig, Index, Manifest, Platform } from './types.ts';

/** Bytes. Registries refuse manifests of more than 4 MiB; a configuration with the history of 500 layers has less than one. */
export const LARGEST_DOCUMENT = 8 * 1024 * 1024;
/** Layers of an image: the kernel stacks 500 (OVL_MAX_STACK). */
export const MOST_LAYERS = 500;

/** image-layout.md, `oci-layout`. */
export interface Layout {
  readonly imageLayoutVersion: string;
}

/** An item of manifest.json in an archive of `docker save`. */
export interface DockerItem {
  /** Path of the configuration in the archive. */
  readonly config: string;
  readonly repoTags: readonly string[];
  /** Paths of the layers in the archive, bottom to top. */
  readonly layers: readonly string[];
}

/** @throws StrataError `image-invalid` that names `document`; so do all here. */
export function parseLayout(source: string, document: string): Layout {
  return parsed(readLayout, source, document);
}

export function parseIndex(source: string, document: string): Index {
  return parsed(readIndex, source, document);
}

export function parseManifest(source: string, document: string): Manifest {
  return parsed(readManifest, source, document);
}

export function parseImageConfig(source: string, document: string): ImageConfig {
  return parsed(readImageConfig, source, document);
}

export function parseDockerItems(source: string, document: string): readonly DockerItem[] {
  return parsed(readDockerItems, source, document);
}

function parsed<T>(read: Reader<T>, source: string, document: string): T {
  try {
    return readWhole(read, json(source), '', 'image-invalid');
  } catch (error) {
    if (hasCode(error, 'image-invalid') || hasCode(error, 'config-syntax')) {
      throw withFields(error as StrataError, { code: 'image-invalid', document, stage: 'load' });
    }
    throw error;
  }
}

function json(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    if (isOutOfMemory(error) && !isStackOverflow(error)) throw error;
    return parseExact(source);
  }
}

const digest: Reader<string> = (value) => (isDigest(text(value)) ? (value as string) : mismatch('a digest such as sha256:… or sha512:…', value));
const sha256: Reader<string> = textLike(/^sha256:[0-9a-f]{64}$/, 'a digest such as sha256:…');
const annotations = map(text);
const size = integer(0, Number.MAX_SAFE_INTEGER);

const platform = object<Platform>({
  architecture: required(text),
  os: required(text),
  'os.version': optional(someText),
  'os.features': optional(texts),
  variant: optional(someText),
});
const descriptor = object<Descriptor>({
  mediaType: required(text),
  digest: required(digest),
  size: required(size),
  urls: optional(texts),
  annotations: optional(annotations),
  data: optional(text),
  artifactType: optional(someText),
  platform: optional(platform),
});

const readLayout = object<Layout>({
  imageLayoutVersion: required((value) => (text(value) === '1.0.0' ? value : mismatch('version 1.0.0 of the image layout', value)) as string),
});

const VERSION = 2;
const version: Reader<number> = (value) => (value === VERSION ? VERSION : mismatch(`${VERSION}`, value));

/** The type must be one of those that the document can have; it is optional in OCI's. */
function typeOf(fits: (mediaType: string) => boolean, expected: string): Reader<string> {
  return (value) => (fits(text(value)) ? (value as string) : mismatch(`the media type of ${expected}`, value));
}

const readIndex: Reader<Index> = object<Index>(
  {
    mediaType: defaulting(typeOf(isIndexType, 'an image index'), MEDIA_TYPES.index),
    manifests: required(list(descriptor)),
    annotations: defaulting(annotations, {}),
  },
  { schemaVersion: version },
);

const readManifestFields = object<Manifest>(
  {
    mediaType: defaulting(typeOf(isManifestType, 'an image manifest'), MEDIA_TYPES.manifest),
    config: required(descriptor),
    layers: required(list(descriptor)),
    annotations: defaulting(annotations, {}),
  },
  { schemaVersion: version },
);
const readManifest: Reader<Manifest> = (value) => {
  const manifest = readManifestFields(value);
  if (!isConfigType(manifest.config.mediaType)) mismatchAt('config', `is not the configuration of an image but ${manifest.config.mediaType}`);
  if (manifest.layers.length > MOST_LAYERS) mismatchAt('layers', tooMany(manifest.layers.length));
  return manifest;
};

function tooMany(count: number): string {
  return `${count} layers are more than the ${MOST_LAYERS} that the kernel can stack`;
}

/** config.md: an object whose keys are the values. */
function keysOf(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) mismatch('an object', value);
  return texts(Object.keys(value as object));
}

const executionConfig = object<ExecutionConfig>({
  User: optional(someText),
  ExposedPorts: optional(keysOf),
  Env: optional(texts),
  Entrypoint: optional(texts),
  Cmd: optional(texts),
  Volumes: optional(keysOf),
  WorkingDir: optional(someText),
  Labels: optional(annotations),
  StopSignal: optional(someText),
});

const historyEntry = object<HistoryEntry>({
  created: optional(someText),
  author: optional(someText),
  created_by: optional(someText),
  comment: optional(someText),
  empty_layer: optional(flag),
});

interface RootFileSystem {
  readonly diff_ids: readonly string[];
}
const rootfs = object<RootFileSystem>(
  { diff_ids: defaulting(list(sha256), []) },
  { type: (value) => (text(value) === 'layers' ? value : mismatch('"layers"', value)) },
);

interface ConfigFields extends Omit<ImageConfig, 'diffIds'> {
  readonly rootfs: RootFileSystem;
}
const readConfigFields = object<ConfigFields>({
  created: optional(someText),
  author: optional(someText),
  architecture: required(text),
  os: required(text),
  variant: optional(someText),
  'os.version': optional(someText),
  'os.features': optional(texts),
  config: defaulting(executionConfig, {}),
  rootfs: required(rootfs),
  history: defaulting(list(historyEntry), []),
});
const readImageConfig: Reader<ImageConfig> = (value) => {
  const { rootfs: root, ...fields } = readConfigFields(value);
  if (root.diff_ids.length > MOST_LAYERS) mismatchAt('rootfs', tooMany(root.diff_ids.length));
  return { ...fields, diffIds: root.diff_ids };
};

interface DockerFields {
  readonly Config: string;
  readonly RepoTags: readonly string[];
  readonly Layers: readonly string[];
}
const dockerFields = object<DockerFields>({
  Config: required(text),
  RepoTags: defaulting(texts, []),
  Layers: defaulting(texts, []),
});
const readDockerItems: Reader<readonly DockerItem[]> = list((value) => {
  const { Config, RepoTags, Layers } = dockerFields(value);
  if (Layers.length > MOST_LAYERS) mismatchAt('Layers', tooMany(Layers.length));
  return { config: Config, repoTags: RepoTags, layers: Layers };
});
