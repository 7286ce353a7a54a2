/**
 * The archive of a checkpoint of a container made of an image: a tar archive, plain or compressed, with these members; others are not looked at.
 *
 *     checkpoint.json    {@link CheckpointDocument}
 *     config.json        of its bundle
 *     bundle/NAME        files that are mounted from its bundle
 *     layer.tar.gz       what it had written: a layer, with whiteouts (layer.md)
 *     criu/NAME          CRIU's images, and what `restore` wants besides
 */
import { StrataError } from '../base/error.ts';
import { readInstance } from '../instance/instances.ts';
import type { Instance } from '../instance/record.ts';
import { VOLUME_NAME } from '../instance/wishes.ts';
import { integer, list, object, readWhole, required, text, textLike } from '../spec/reader.ts';
import { readId } from '../store/references.ts';

const FORMAT = 1;

export const DOCUMENT = 'checkpoint.json';
export const CONFIG = 'config.json';
export const LAYER = 'layer.tar.gz';

/** Files of a bundle that its configuration mounts: `src/instance/network-files.ts`. */
export const BUNDLE_FILES: readonly string[] = ['hostname', 'hosts', 'resolv.conf'];

export interface CheckpointDocument {
  readonly format: typeof FORMAT;
  /** RFC 3339. */
  readonly created: string;
  readonly container: Instance;
  /** The store in which the container was: volumes are mounted from below it. */
  readonly store: string;
  readonly layer: {
    /** Of the archive as it is, `sha256:…`. */
    readonly digest: string;
    /** Of the archive as it is, in bytes. */
    readonly size: number;
    /** Digest of the archive, uncompressed. */
    readonly diffId: string;
  };
  /** Some of {@link BUNDLE_FILES}. */
  readonly bundle: readonly string[];
  /** Names below `criu/`. */
  readonly criu: readonly string[];
}

/** A name of a file of CRIU's, which is one in our directory too. */
const CRIU_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;
/** Bytes; ten thousand names fit. */
export const LARGEST_DOCUMENT = 4 * 1024 * 1024;

/** What of a container's record names things in the store; our own records need no such look. */
const readNames = object<{ image: string; layers: readonly string[]; volumes: readonly { name: string }[]; stopSignal: string }>({
  image: required(readId),
  layers: required(list(readId)),
  volumes: required(list(object<{ name: string }>({ name: required(textLike(VOLUME_NAME, 'the name of a volume')) }))),
  stopSignal: required(textLike(/^(SIG[A-Z0-9+-]{1,20}|[0-9]{1,2})$/, 'a signal')),
});
function readContainer(value: unknown): Instance {
  readNames(value);
  return readInstance(value);
}

const readDocument = object<CheckpointDocument>({
  format: required(integer(FORMAT, FORMAT) as (value: unknown) => typeof FORMAT),
  created: required(text),
  container: required(readContainer),
  store: required(textLike(/^\//, 'an absolute path')),
  layer: required(
    object<CheckpointDocument['layer']>({
      digest: required(readId),
      size: required(integer(0, Number.MAX_SAFE_INTEGER)),
      diffId: required(readId),
    }),
  ),
  bundle: required(list(textLike(new RegExp(`^(${BUNDLE_FILES.join('|').replaceAll('.', '\\.')})$`), 'hostname, hosts or resolv.conf'))),
  criu: required(list(textLike(CRIU_NAME, 'a name of letters, digits, dots, hyphens and underscores'))),
});

export function isCriuName(name: string): boolean {
  return CRIU_NAME.test(name);
}

export function makeDocument(fields: Omit<CheckpointDocument, 'format'>): string {
  return JSON.stringify({ format: FORMAT, ...fields } satisfies CheckpointDocument);
}

/** @throws StrataError `image-invalid`. */
export function parseDocument(source: string): CheckpointDocument {
  try {
    const document = readWhole(readDocument, JSON.parse(source), '', 'image-invalid');
    for (const names of [document.bundle, document.criu]) {
      if (new Set(names).size !== names.length) throw new StrataError({ code: 'image-invalid', reason: 'it names a file twice' });
    }
    return document;
  } catch (error) {
    if (error instanceof SyntaxError) throw new StrataError({ code: 'image-invalid', reason: `${DOCUMENT} in the archive is not valid JSON` });
    if (!(error instanceof StrataError)) throw error;
    throw new StrataError({ code: 'image-invalid', reason: `${DOCUMENT} in the archive: ${error.pointer ?? ''}: ${error.reason}` });
  }
}
