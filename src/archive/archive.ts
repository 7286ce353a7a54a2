/**
 * What only Node can do, as the command line sees it: archives are read with zlib and hashed with OpenSSL, of which the static command has no more than
 * a commit needs. Pure, for `src/cli` names it; `index.ts` beside it is the implementation.
 */
import type { Compression } from '../image/media-types.ts';
import type { Platform } from '../image/types.ts';
import type { InstanceCheckpointOptions } from '../instance/checkpoint.ts';
import type { CreatedInstance } from '../instance/create.ts';
import type { InstanceName } from '../instance/instances.ts';
import type { Limits } from '../layer/filter.ts';

/** Each function is one verb; see there. */
export interface Archive {
  /** Columns of the terminal that standard error is; 0 if it is none. */
  errorWidth(): number;
  /** `import.ts` */
  importImages(options: ImportOptions): Promise<readonly ImportedImage[]>;
  /** `unpack-layer.ts` */
  unpackLayer(options: UnpackOptions): Promise<UnpackedLayer>;
  /** `export.ts` */
  exportImages(options: ExportOptions): Promise<void>;
  /** `verify.ts` */
  verifyImages(options: VerifyOptions): Promise<readonly string[]>;
  /** `fsck.ts` */
  fsck(options: FsckOptions): Promise<readonly Fault[]>;
  /** `checkpoint-export.ts` */
  exportCheckpoint(options: CheckpointExportOptions): Promise<void>;
  /** `checkpoint-import.ts` */
  importCheckpoint(options: CheckpointImportOptions): Promise<CreatedInstance>;
}

/** What everything that reads contents wants. */
export interface CheckingOptions {
  /** Directory of the store. */
  readonly store: string;
  /** Called often; what it throws ends the work. */
  readonly checkpoint?: () => void;
  /** What is looked at next, such as `layer 0123456789ab`. */
  readonly progress?: (what: string) => void;
}

export interface VerifyOptions extends CheckingOptions {
  /** Names or ids. */
  readonly images: readonly string[];
}

export interface FsckOptions extends CheckingOptions {
  /** Mend what can be mended. */
  readonly repair: boolean;
  /** Look at records only, and read no contents. */
  readonly quick: boolean;
}

/** Something that is wrong with a store, or was. */
export interface Fault {
  readonly text: string;
  readonly repaired: boolean;
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
  /**
   * `read`: bytes have come in; of a layer, `present`: the store has it, `unpacked`: it has been; `verified`: the store has it, but not this archive of
   * it, which is kept too.
   */
  readonly step: 'read' | 'present' | 'verified' | 'unpacked';
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

/** Forms of archives: the image layout as a tar archive, what `docker save` writes, and the image layout as a directory. */
export type ExportFormat = 'oci-archive' | 'docker-archive' | 'oci';

export interface ExportOptions {
  /** Directory of the store. */
  readonly store: string;
  /** Names or ids. */
  readonly images: readonly string[];
  /** A file or, for `oci`, a directory, which must not exist or be empty; `-` is standard output. */
  readonly output: string;
  readonly format: ExportFormat;
  readonly progress?: (event: ExportProgress) => void;
  /** Called often; what it throws ends the work, and what was made is taken back. */
  readonly checkpoint?: () => void;
}

export interface ExportProgress {
  /** Bytes of layers that have been written, and that are to be. */
  readonly bytes: number;
  readonly total: number;
}

export interface CheckpointExportOptions extends InstanceCheckpointOptions {
  /** A file, or `-` for standard output. */
  readonly output: string;
  /** Of the archive as a whole. */
  readonly compression: Compression;
  /** Gets what is left out, one line each. */
  readonly warn: (text: string) => void;
  /** Called often; what it throws ends the work. */
  readonly checkpoint?: () => void;
}

export interface CheckpointImportOptions extends InstanceName {
  /** A file, or `-` for standard input. */
  readonly source: string;
  /** What is not given is as in `DEFAULT_LIMITS`. */
  readonly limits?: Partial<Limits>;
  /** Gets what is left out, one line each. */
  readonly warn: (text: string) => void;
  /** Called often; what it throws ends the work, and what was made is taken back. */
  readonly checkpoint?: () => void;
}
