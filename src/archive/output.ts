/** Where an archive of images goes: into a tar archive, in a file or a pipe, or into a directory. */

import * as fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import type { Gzip, ZstdCompress } from 'node:zlib';
import { createGzip, createZstdCompress } from 'node:zlib';
import { StrataError } from '../base/error.ts';
import type { Compression } from '../image/media-types.ts';
import type { Entry } from '../layer/entry.ts';
import { TAR_END, tarHeader, tarPadding } from '../layer/tar-writer.ts';
import { systemError } from './bytes.ts';

/** Takes members one after another. Every function throws a StrataError `system`. */
export interface Output {
  /** Whether what is written stays, and does not go to a reader who may yet fail. */
  readonly isKept: boolean;
  directory(name: string): Promise<void>;
  /** Begins a file of `size` bytes; its content follows. */
  begin(name: string, size: number): Promise<void>;
  write(chunk: Uint8Array): Promise<void>;
  end(): Promise<void>;
  /** All of it is there, under its own name. */
  finish(): Promise<void>;
  /** Takes back what is made, but for what went into a pipe. */
  abort(): Promise<void>;
}

const STANDARD_OUTPUT = 1;

/** @throws StrataError `usage` for a terminal or a directory that is not empty, `system`. */
export async function openOutput(path: string, isLayout: boolean): Promise<Output> {
  if (!isLayout) return openTar(path, 'none');
  if (path === '-')
    throw new StrataError({ code: 'usage', reason: 'a directory cannot be written to standard output', hint: 'give one with --output' });
  return DirectoryOutput.open(path);
}

/** A tar archive in a file, or `-`. @throws StrataError `usage` for a terminal, `system`. */
export async function openTar(path: string, compression: Compression): Promise<Output> {
  if (path !== '-') return FileOutput.open(path, compression);
  if (isatty(STANDARD_OUTPUT)) {
    throw new StrataError({
      code: 'usage',
      reason: 'an archive is not written to a terminal',
      hint: 'name a file, or redirect standard output',
    });
  }
  return new TarOutput(STANDARD_OUTPUT, 'standard output', compression);
}

/** A name beside `path` for what is being made. */
function temporaryName(path: string): string {
  return `${path.replace(/\/+$/, '')}.tmp.${process.pid}`;
}

const writeSome = promisify(fs.write);
/** Milliseconds after which a pipe that is full is tried again; it is somebody else's who made it non-blocking. */
const PAUSE = 5;

/** A stream through zlib, one part after the other. */
class Compressor {
  private readonly stream: Gzip | ZstdCompress;
  private readonly output: Promise<void>;

  constructor(compression: Exclude<Compression, 'none'>, sink: (part: Uint8Array) => Promise<void>) {
    const stream = compression === 'gzip' ? createGzip() : createZstdCompress();
    this.stream = stream;
    this.output = (async () => {
      for await (const part of stream) await sink(part as Buffer);
    })();
    // It is waited for at the next opportunity.
    this.output.catch(() => {});
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.stream.write(chunk)) return;
    const drained = new Promise<void>((fulfil) => this.stream.once('drain', fulfil));
    await Promise.race([drained, this.output]);
  }

  async finish(): Promise<void> {
    this.stream.end();
    await this.output;
  }

  abort(): void {
    this.stream.destroy();
  }
}

class TarOutput implements Output {
  readonly isKept: boolean = false;
  private readonly descriptor: number;
  private readonly path: string;
  private readonly compressor: Compressor | undefined;
  private size = 0;

  constructor(descriptor: number, path: string, compression: Compression) {
    this.descriptor = descriptor;
    this.path = path;
    this.compressor = compression === 'none' ? undefined : new Compressor(compression, (part) => this.put(part));
  }

  directory(name: string): Promise<void> {
    return this.write(tarHeader(member(name, 'directory', 0o755, 0)));
  }

  begin(name: string, size: number): Promise<void> {
    this.size = size;
    return this.write(tarHeader(member(name, 'file', 0o644, size)));
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.compressor === undefined ? this.put(chunk) : this.compressor.write(chunk);
  }

  private async put(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.length; ) {
      try {
        done += (await writeSome(this.descriptor, chunk, done, chunk.length - done)).bytesWritten;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw systemError(error, this.path);
        await setTimeout(PAUSE);
      }
    }
  }

  end(): Promise<void> {
    return this.write(tarPadding(BigInt(this.size)));
  }

  async finish(): Promise<void> {
    await this.write(TAR_END);
    await this.compressor?.finish();
  }

  async abort(): Promise<void> {
    this.compressor?.abort();
  }
}

/** Replaces a file when all is there; what is no regular file, such as a named pipe, is written to as it is. */
class FileOutput extends TarOutput {
  override readonly isKept: boolean;
  private readonly file: FileHandle;
  private readonly target: string;
  private readonly temporary: string | undefined;

  private constructor(file: FileHandle, target: string, temporary: string | undefined, compression: Compression) {
    super(file.fd, temporary ?? target, compression);
    this.file = file;
    this.target = target;
    this.temporary = temporary;
    this.isKept = temporary !== undefined;
  }

  static async open(path: string, compression: Compression): Promise<FileOutput> {
    const isSpecial = await stat(path).then(
      (status) => !status.isFile(),
      () => false,
    );
    const temporary = isSpecial ? undefined : temporaryName(path);
    try {
      // As private as the store is.
      return new FileOutput(await (temporary === undefined ? open(path, 'w') : open(temporary, 'wx', 0o600)), path, temporary, compression);
    } catch (error) {
      throw systemError(error, path);
    }
  }

  override async finish(): Promise<void> {
    await super.finish();
    try {
      if (this.temporary !== undefined) await this.file.sync();
      await this.file.close();
      if (this.temporary !== undefined) await rename(this.temporary, this.target);
    } catch (error) {
      throw systemError(error, this.target);
    }
  }

  override async abort(): Promise<void> {
    await super.abort();
    await this.file.close();
    if (this.temporary !== undefined) await rm(this.temporary, { force: true });
  }
}

class DirectoryOutput implements Output {
  readonly isKept = true;
  private readonly target: string;
  private readonly temporary: string;
  private file: FileHandle | undefined;

  private constructor(target: string, temporary: string) {
    this.target = target;
    this.temporary = temporary;
  }

  static async open(path: string): Promise<DirectoryOutput> {
    const names = await readdir(path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw systemError(error, path);
    });
    if (names.length > 0) throw new StrataError({ code: 'usage', reason: `the directory ${path} is not empty`, path });
    const temporary = temporaryName(path);
    await mkdir(temporary, { mode: 0o700 }).catch((error: unknown) => {
      throw systemError(error, temporary);
    });
    return new DirectoryOutput(path, temporary);
  }

  directory(name: string): Promise<void> {
    return this.attempt(name, (path) => mkdir(path));
  }

  begin(name: string, _size: number): Promise<void> {
    return this.attempt(name, async (path) => {
      this.file = await open(path, 'wx', 0o644);
    });
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.attempt('', () => this.file?.writeFile(chunk));
  }

  end(): Promise<void> {
    return this.attempt('', async () => {
      await this.file?.sync();
      await this.file?.close();
      this.file = undefined;
    });
  }

  finish(): Promise<void> {
    // rename(2) takes an empty directory's place.
    return this.attempt('', () => rename(this.temporary, this.target));
  }

  async abort(): Promise<void> {
    await this.file?.close();
    await rm(this.temporary, { recursive: true, force: true });
  }

  private async attempt(name: string, work: (path: string) => Promise<unknown> | undefined): Promise<void> {
    const path = name === '' ? this.temporary : `${this.temporary}/${name}`;
    try {
      await work(path);
    } catch (error) {
      throw systemError(error, path);
    }
  }
}

function member(name: string, type: 'file' | 'directory', mode: number, size: number): Entry {
  const nothing = new Uint8Array(0);
  const times = { seconds: 0n, nanoseconds: 0 };
  return { type, path: Buffer.from(name), mode, uid: 0, gid: 0, mtime: times, size: BigInt(size), link: nothing, major: 0, minor: 0, xattrs: [] };
}
