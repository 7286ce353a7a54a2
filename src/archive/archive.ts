/**
 * What only Node can do, as the command line sees it: archives are read and written with zlib and hashed with OpenSSL, which the static command has
 * not got. Pure, for `src/cli` names it; `index.ts` beside it is the implementation.
 */
import type { Platform } from '../image/types.ts';
import type { Limits } from '../layer/filter.ts';

/** Each function is one verb; see there. */
export interface Archive {
  /** Columns of the terminal that standard error is; 0 if it is none. */
  errorWidth(): number;
  /** `import.ts` */
  importImages(options: ImportOptions): Promise<readonly ImportedImage[]>;
  /** `unpack-layer.ts` */
  unpackLayer(options: UnpackOptions): Promise<UnpackedLayer>;
}

/** What everything that reads layers wants. */
export interface ReadingOptions {
  /** What is not given is as in `DEFAULT_LIMITS`. */
  readonly limits?: Partial<Limits>;
  /** Gets what is left out, one line each. */
  readonly warn?: (text: string) => void;
  readonly progress?: (event: ImportProgress) => void;
  /** Called often, also while nothing comes; what it throws ends the work, and what was made is taken back. */
  readonly checkpoint?: () => void;
}

export interface ImportOptions extends ReadingOptions {
  /** Directory of the store. */
  readonly store: string;
  /** A file, a directory, or `-` for standard input. */
  readonly source: string;
  /** The name that the one image of the archive gets in place of those that the archive has. */
  readonly name?: string;
  /** Which image of an index; the machine's own platform if not given. */
  readonly platform?: Platform;
}

export interface ImportedImage {
  /** `sha256:…` */
  readonly id: string;
  /** Digest of the manifest. */
  readonly manifest: string;
  /** Whole names that it has been given. */
  readonly names: readonly string[];
  readonly layers: number;
  /** Of them, those that the store did not have. */
  readonly added: number;
}

/** How far an import is. */
export interface ImportProgress {
  /** `read`: bytes have come in; `present`: the store has this layer; `done`: this layer is unpacked. */
  readonly step: 'read' | 'present' | 'done';
  /** From 1; 0 while the archive itself is read. */
  readonly layer: number;
  readonly layers: number;
  /** Of the layer; '' where that is not known yet. */
  readonly digest: string;
  /** Bytes that have come in, of all layers, as they are in the archive. */
  readonly bytes: number;
  /** That are to come in; 0 if nobody knows. */
  readonly total: number;
}

export interface UnpackOptions extends ReadingOptions {
  /** A file, or `-` for standard input. */
  readonly source: string;
  /** Where to; made if it does not exist. */
  readonly directory: string;
}

export interface UnpackedLayer {
  /** Digest of the archive, uncompressed. */
  readonly diffId: string;
  readonly entries: number;
  /** Bytes of file content. */
  readonly size: number;
}
