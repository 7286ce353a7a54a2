/** What somebody wants to import: told by its content, whatever its name is. */
import type { FileHandle } from 'node:fs/promises';
import { open, stat } from 'node:fs/promises';
import { StrataError } from '../base/error.ts';
import { hasCode } from '../base/fault.ts';
import type { Limits } from '../layer/filter.ts';
import { checkRatio } from '../layer/filter.ts';
import { TarReader } from '../layer/tar.ts';
import type { Chunks } from './bytes.ts';
import { close, decompress, detect, fileRange, openInput, peek, resume, stream, systemError } from './bytes.ts';
import { named } from './digests.ts';
import type { Members } from './members.ts';
import { DirectoryMembers, normal, TarMembers } from './members.ts';
import type { Watch } from './watch.ts';

export type Input =
  /** image-layout.md */
  | { readonly kind: 'layout'; readonly members: Members }
  /** What `docker save` writes. */
  | { readonly kind: 'docker'; readonly members: Members }
  /** A root file system as one tar archive. */
  | { readonly kind: 'rootfs'; readonly chunks: Chunks; readonly size: number };

/** An input, and how to let it go. */
export interface OpenInput {
  readonly input: Input;
  close(): Promise<void>;
}

const STANDARD_INPUT = 0;

/** For messages. */
export function sourceName(source: string): string {
  return source === '-' ? 'standard input' : source;
}

/** Where an archive is written down if it must be read in another order than it comes in. */
export interface Spool {
  /** Of a new file. */
  readonly path: string;
  readonly limits: Limits;
  /** Gets each number of bytes that are read for it. */
  readonly came: (bytes: number) => void;
}

/** @throws StrataError `image-invalid`, `system`. */
export async function openArchive(source: string, spool: Spool, watch: Watch): Promise<OpenInput> {
  if (source === '-') return openStream(STANDARD_INPUT, spool, watch, sourceName(source));
  const status = await stat(source).catch((error: unknown) => {
    throw systemError(error, source);
  });
  if (status.isDirectory()) return openDirectory(source);
  const file = await openInput(source, 'any');
  try {
    const opened = status.isFile() ? await openFile(file, status.size, spool, source) : await openStream(file.fd, spool, watch, source);
    return {
      input: opened.input,
      close: async () => {
        await opened.close();
        await file.close();
      },
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openDirectory(directory: string): Promise<OpenInput> {
  const members = new DirectoryMembers(directory);
  const kind = await kindOf(members);
  if (kind === 'layout') return { input: { kind, members }, close: NOTHING_OPEN };
  throw new StrataError({
    code: 'image-invalid',
    reason: `${directory} is not an image layout: it has no oci-layout and index.json`,
    path: directory,
  });
}

/** @throws StrataError `image-invalid` for what was meant as an archive of images, and is none that can be read. */
async function kindOf(members: Members): Promise<'layout' | 'docker' | undefined> {
  const has = async (path: string): Promise<boolean> => (await members.find(path)) !== undefined;
  const hasLayout = await has('oci-layout');
  // docker save writes both; the layout says more.
  if (hasLayout && (await has('index.json'))) return 'layout';
  if (await has('manifest.json')) return 'docker';
  if (hasLayout) throw new StrataError({ code: 'image-invalid', reason: 'an image layout without index.json' });
  if (await has('repositories')) throw new StrataError({ code: 'image-invalid', reason: 'an archive of Docker before 1.10, without manifest.json' });
  return undefined;
}

/** Where whoever has opened it closes it, or nobody has. */
const NOTHING_OPEN = async (): Promise<void> => {};

async function openFile(file: FileHandle, size: number, spool: Spool, source: string): Promise<OpenInput> {
  const content = (): AsyncGenerator<Buffer> => fileRange(file.fd, 0, size, source);
  const { looksLikeImages, compression, chunks } = await classify(content(), source);
  await close(chunks);
  // Its headers are soon read. It is closed by whoever has opened it.
  if (compression === 'none') return openTar(file, size, source, NOTHING_OPEN);
  if (!looksLikeImages) return { input: { kind: 'rootfs', chunks: content(), size }, close: NOTHING_OPEN };
  return openSpooled(content(), spool, source);
}

async function openStream(file: number, spool: Spool, watch: Watch, source: string): Promise<OpenInput> {
  const { looksLikeImages, chunks } = await classify(stream(file, watch, source), source);
  if (!looksLikeImages) return { input: { kind: 'rootfs', chunks, size: 0 }, close: NOTHING_OPEN };
  return openSpooled(chunks, spool, source);
}

/** Writes the archive down, decompressed, and opens that. */
async function openSpooled(chunks: Chunks, { path, limits, came }: Spool, source: string): Promise<OpenInput> {
  const file = await open(path, 'wx+', 0o600);
  try {
    const { start, chunks: all } = await peek(chunks);
    let raw = 0;
    let size = 0;
    await decompress(
      all,
      detect(start, source),
      source,
      (chunk) => {
        came(chunk.length);
        raw += chunk.length;
      },
      async (chunk) => {
        size += chunk.length;
        checkRatio(size, raw, limits);
        if (size > limits.maxSize)
          throw new StrataError({ code: 'image-invalid', reason: `more than ${limits.maxSize} bytes`, hint: '--max-size allows more' });
        for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten;
      },
    );
    return await openTar(file, size, source, () => file.close());
  } catch (error) {
    await file.close();
    throw named(systemError(error, path), source);
  }
}

async function openTar(file: FileHandle, size: number, source: string, letGo: () => Promise<void>): Promise<OpenInput> {
  try {
    const members = await TarMembers.scan(file);
    const kind = members && (await kindOf(members));
    if (members === undefined || kind === undefined)
      return { input: { kind: 'rootfs', chunks: fileRange(file.fd, 0, size, source), size }, close: letGo };
    return { input: { kind, members }, close: letGo };
  } catch (error) {
    throw named(error, source);
  }
}

/** Paths of what archives of images begin with, and root file systems hardly; in one that cannot be read twice nothing else tells. */
const OF_IMAGES =
  /^(blobs\/.*|oci-layout|repositories|[^/]+\.json|[^/]+\.tar(\.gz)?|(sha256:)?[0-9a-f]{64}(\.[a-z.]+)?|[^/]+\/(json|VERSION|layer\.tar))$/;

/** Tells by the first member that is no directory; `chunks` is the whole stream again. */
async function classify(chunks: Chunks, source: string): Promise<{ looksLikeImages: boolean; compression: string; chunks: Chunks }> {
  const { start, chunks: all } = await peek(chunks);
  if (start.length === 0) throw new StrataError({ code: 'image-invalid', reason: `${source} is empty`, path: source });
  const compression = detect(start, source);
  const iterator = all[Symbol.asyncIterator]();
  const taken: Buffer[] = [];
  let first: string | undefined;
  let seen = 0;
  const reader = new TarReader({
    entry({ type, path }) {
      if (type !== 'directory') first ??= normal(Buffer.from(path).toString());
    },
    data: () => {},
    leftOut: () => {},
  });
  const found = new Error('found');
  // Without `return`: the iterator is not to be closed when enough has been seen.
  const borrowed: Chunks = { [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }) };
  try {
    await decompress(
      borrowed,
      compression,
      source,
      (chunk) => void taken.push(chunk),
      (chunk) => {
        for (let at = 0; at < chunk.length && first === undefined; at += BLOCK) reader.write(chunk.subarray(at, at + BLOCK));
        seen += chunk.length;
        if (first !== undefined || seen > ENOUGH) throw found;
      },
    );
    reader.end();
  } catch (error) {
    if (error !== found) {
      await iterator.return?.();
      throw hasCode(error, 'image-invalid') ? named(error, `${source} is not an archive`) : error;
    }
  }
  return { looksLikeImages: first !== undefined && OF_IMAGES.test(first), compression, chunks: resume(taken, iterator) };
}

const BLOCK = 512;
/** Bytes after which something that has directories only is the beginning of a root file system. */
const ENOUGH = 16 * 1024 * 1024;
