/** Streams of bytes: from files, and through zlib. */
import * as fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { StrataError } from '../base/error.ts';
import { messageOf } from '../base/fault.ts';
import type { Compression } from '../image/media-types.ts';
import { allocated } from './garbage.ts';
import type { Watch } from './watch.ts';

/** In order; each is the receiver's to keep. */
export type Chunks = AsyncIterable<Buffer>;

/** Lets go what the stream is read from, wherever it has been read to. */
export async function close(chunks: Chunks): Promise<void> {
  await chunks[Symbol.asyncIterator]().return?.();
}

const CHUNK = 256 * 1024;

/** A file to be read, and whatever it is opened through: a named pipe or a device, too, unless `kind` is `file`. @throws StrataError `system`. */
export async function openInput(path: string, kind: 'file' | 'any'): Promise<FileHandle> {
  try {
    // A pipe that nobody writes to must not hold us up before we know that it is one.
    const file = await open(path, fs.constants.O_RDONLY | (kind === 'file' ? fs.constants.O_NONBLOCK : 0));
    if (kind === 'any' || (await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    throw systemError(error, path);
  }
  throw new StrataError({ code: 'image-invalid', reason: `${path} is not a file`, path });
}

/** An error of Node's as one of ours. */
export function systemError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof StrataError || !('errno' in error)) return error;
  const { errno, syscall = '' } = error as NodeJS.ErrnoException;
  return new StrataError({ code: 'system', reason: syscall, syscall, errno: Math.abs(errno ?? 0), path });
}

/** `size` bytes from `offset` on; the next are read while the last are at work. @throws StrataError `image-invalid` if the file ends before. */
export async function* fileRange(file: number, offset: number, size: number, what: string): AsyncGenerator<Buffer> {
  let next = read(file, Math.min(CHUNK, size), offset, what);
  for (let done = 0; done < size; ) {
    const chunk = await next;
    if (chunk.length === 0) throw new StrataError({ code: 'image-invalid', reason: `${what} is truncated` });
    done += chunk.length;
    if (done < size) {
      next = read(file, Math.min(CHUNK, size - done), offset + done, what);
      // It is waited for when its turn comes, or never.
      next.catch(() => {});
    }
    yield chunk;
  }
}

/** What comes out of a pipe, a terminal or a file from where it stands, to its end. */
export async function* stream(file: number, watch: Watch, what: string): AsyncGenerator<Buffer> {
  for (;;) {
    const chunk = await watch.for(read(file, CHUNK, null, what));
    if (chunk.length === 0) return;
    yield chunk;
  }
}

const readSome = promisify(fs.read);

async function read(file: number, length: number, position: number | null, what: string): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  allocated(length);
  try {
    const { bytesRead } = await readSome(file, buffer, 0, length, position);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw systemError(error, what);
  }
}

/** All of it, which is `limit` bytes at most. @throws StrataError `image-invalid`. */
export async function whole(chunks: Chunks, limit: number, what: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > limit) throw new StrataError({ code: 'image-invalid', reason: `${what} is larger than ${limit} bytes` });
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

/** Enough of a file's beginning for {@link detect}. */
const MAGIC_SIZE = 6;
const UNSUPPORTED: Readonly<Record<string, readonly number[]>> = {
  bzip2: [0x42, 0x5a, 0x68],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  lz4: [0x04, 0x22, 0x4d, 0x18],
};

/** How the content that begins so is compressed. @throws StrataError `image-invalid` for a form that is not supported. */
export function detect(start: Uint8Array, what: string): Compression {
  const begins = (magic: readonly number[]): boolean => magic.every((byte, at) => start[at] === byte);
  if (begins([0x1f, 0x8b])) return 'gzip';
  if (begins([0x28, 0xb5, 0x2f, 0xfd])) return 'zstd';
  for (const [name, magic] of Object.entries(UNSUPPORTED)) {
    if (!begins(magic)) continue;
    const hint = `${name} -dc FILE | strata … - decompresses it`;
    throw new StrataError({ code: 'image-invalid', reason: `${what} is compressed with ${name}, which is not supported`, hint });
  }
  return 'none';
}

/** The stream again, with the beginning of it, {@link MAGIC_SIZE} bytes or all. */
export async function peek(chunks: Chunks): Promise<{ readonly start: Buffer; readonly chunks: Chunks }> {
  const iterator = chunks[Symbol.asyncIterator]();
  const parts: Buffer[] = [];
  let size = 0;
  while (size < MAGIC_SIZE) {
    const { value, done } = await iterator.next();
    if (done === true) break;
    parts.push(value);
    size += value.length;
  }
  return { start: Buffer.concat(parts).subarray(0, MAGIC_SIZE), chunks: resume(parts, iterator) };
}

/** Parts that have been taken from an iterator, then the rest of it. */
export async function* resume(parts: readonly Buffer[], iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* parts;
    for (;;) {
      const { value, done } = await iterator.next();
      if (done === true) return;
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}

/**
 * Sends a stream through a decompressor. `raw` gets every chunk as it is, `plain` what comes of it; zlib works on a thread of its own meanwhile.
 *
 * @throws StrataError `image-invalid` if it is corrupt or truncated; whatever `raw` and `plain` throw.
 */
export async function decompress(
  chunks: Chunks,
  compression: Compression,
  what: string,
  raw: (chunk: Buffer) => void | Promise<void>,
  plain: (chunk: Buffer) => void | Promise<void>,
): Promise<void> {
  if (compression === 'none') {
    for await (const chunk of chunks) {
      await raw(chunk);
      await plain(chunk);
    }
    return;
  }
  const options = { chunkSize: CHUNK, highWaterMark: 2 * CHUNK };
  const decompressor = compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options);
  let finished = false;
  async function consume(): Promise<void> {
    try {
      for await (const chunk of decompressor) {
        allocated((chunk as Buffer).length);
        await plain(chunk as Buffer);
      }
    } catch (error) {
      throw zlibError(error, compression, what);
    }
    finished = true;
  }
  const output = consume();
  output.catch(() => {});
  try {
    for await (const chunk of chunks) {
      await raw(chunk);
      // Zeros may follow the end of what is compressed: then it takes no more.
      if (finished || decompressor.write(chunk)) continue;
      const drained = new Promise<void>((fulfil) => decompressor.once('drain', fulfil));
      await Promise.race([drained, output]);
    }
    decompressor.end();
    await output;
  } catch (error) {
    decompressor.destroy();
    await output.catch(() => {});
    throw error;
  }
}

function zlibError(error: unknown, compression: Compression, what: string): unknown {
  const { code } = error as { readonly code?: unknown };
  if (error instanceof StrataError || typeof code !== 'string' || !/^(Z_|ZSTD_)/.test(code)) return error;
  return new StrataError({ code: 'image-invalid', reason: `${what}: the ${compression} data are corrupt or truncated: ${messageOf(error)}` });
}
