/** What the addon does for archives, and the static command does not: layers are applied on another thread, while JavaScript decompresses. */
import { StrataError } from '../base/error.ts';
import type { LaunchFailure } from '../host/host.ts';
import { addonFunctions } from '../host/node.ts';

export interface LayerOptions {
  /** Directories of the layers below, top to bottom, in which paths are looked up. */
  readonly lower: readonly string[];
  /**
   * `overlay`: whiteouts are written as overlayfs has them. `flat`: they are carried out, but on nothing that this layer itself has brought; `lower`
   * is empty then.
   */
  readonly mode: 'overlay' | 'flat';
}

export interface LayerSummary {
  /** Entries that were applied, whiteouts and opaque directories included. */
  readonly entries: number;
  /** Bytes of file content. */
  readonly size: number;
  /** Extended attributes that were not applied because they belong to overlayfs. */
  readonly dropped: number;
  /** Extended attributes that the file system does not support. */
  readonly unsupported: number;
}

/**
 * A directory to which records are applied, in the order in which they come. A refusal by the kernel is a StrataError of code `system`, one of
 * what the entry asks for `image-invalid`; both have the entry's path. After one nothing more is applied.
 */
export interface LayerTarget {
  /** A buffer for a batch: one that has been applied, if there is any. */
  allocate(size: number): Uint8Array;
  /** Takes a batch over, of `src/layer/records.ts`. Resolves as soon as another may come: a few may wait. */
  write(batch: Uint8Array): Promise<void>;
  /** When all has been applied, the directories' times too. */
  finish(): Promise<LayerSummary>;
  /** Applies nothing more; when it resolves the directory is not touched any longer. What is there stays. */
  abort(): Promise<void>;
}

/** Where two trees differ first. */
export interface TreeDifference {
  /** Below the root, with a leading slash. What is not UTF-8 in it is replaced. */
  readonly path: string;
  /** One clause. */
  readonly reason: string;
}

/** Kept alive by JavaScript. */
type Handle = object;

interface LayerFunctions {
  openLayer(directory: string, lower: readonly string[], flat: boolean): Handle;
  /** Resolves when the batch has been applied. It must not change until then. */
  writeLayer(layer: Handle, batch: Uint8Array): Promise<void>;
  finishLayer(layer: Handle): Promise<LayerSummary>;
  abortLayer(layer: Handle): Promise<void>;
  compareTrees(first: string, second: string): Promise<TreeDifference | undefined>;
  openBeneath(directory: string, path: string): number | undefined;
}

/** Batches that may wait: enough for the thread to have something to do while JavaScript makes the next. */
const MOST_WAITING = 4;

export function openLayer(directory: string, { lower, mode }: LayerOptions): LayerTarget {
  const native = addonFunctions<LayerFunctions>();
  const layer = attempt(() => native.openLayer(directory, lower, mode === 'flat'));
  const waiting: Promise<void>[] = [];
  const free: Uint8Array[] = [];
  /** The first; told to whoever comes next. */
  let failure: { readonly error: unknown } | undefined;

  async function apply(batch: Uint8Array): Promise<void> {
    try {
      await native.writeLayer(layer, batch);
      if (free.length < MOST_WAITING) free.push(new Uint8Array(batch.buffer, batch.byteOffset));
    } catch (error) {
      failure ??= { error: layerError(error) };
    }
  }
  function check(): void {
    if (failure !== undefined) throw failure.error;
  }

  return {
    allocate(size) {
      const buffer = free.pop();
      return buffer !== undefined && buffer.length >= size ? buffer : new Uint8Array(size);
    },
    async write(batch) {
      check();
      waiting.push(apply(batch));
      if (waiting.length > MOST_WAITING) await waiting.shift();
      check();
    },
    async finish() {
      await Promise.all(waiting);
      check();
      try {
        return await native.finishLayer(layer);
      } catch (error) {
        throw layerError(error);
      }
    },
    abort: () => native.abortLayer(layer),
  };
}

/** The first difference in names, types, contents or attributes (extended ones too) of two directories; undefined if there is none. */
export async function compareTrees(first: string, second: string): Promise<TreeDifference | undefined> {
  try {
    return await addonFunctions<LayerFunctions>().compareTrees(first, second);
  } catch (error) {
    throw layerError(error);
  }
}

/**
 * A descriptor of a file below a directory that came from somebody else, the caller's to close; undefined if there is none. Symbolic links lead
 * nowhere outside of it. @throws StrataError `image-invalid` for what is no file.
 */
export function openBeneath(directory: string, path: string): number | undefined {
  return attempt(() => addonFunctions<LayerFunctions>().openBeneath(directory, path));
}

function attempt<Value>(call: () => Value): Value {
  try {
    return call();
  } catch (error) {
    throw layerError(error);
  }
}

/** A failure with a reason in words is the layer's own fault, any other the machine's. */
function layerError(error: unknown): unknown {
  if (error instanceof Error || typeof error !== 'object' || error === null) return error;
  const { syscall, errno, path, detail } = error as LaunchFailure;
  if (detail !== '') return new StrataError({ code: 'image-invalid', reason: `${path}: ${detail}`, path });
  return new StrataError({ code: 'system', reason: `${path}: ${syscall}`, syscall, errno, path });
}
