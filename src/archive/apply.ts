/** A layer on its way from an archive: read, verified, decompressed, kept as it came and applied to a directory, all at once. */
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { StrataError } from '../base/error.ts';
import type { Compression } from '../image/media-types.ts';
import type { Limits, Usage } from '../layer/filter.ts';
import { checkRatio, LayerFilter } from '../layer/filter.ts';
import { RecordWriter } from '../layer/records.ts';
import { TarReader } from '../layer/tar.ts';
import type { Chunks } from './bytes.ts';
import { close, decompress, detect, peek, systemError } from './bytes.ts';
import type { Expected } from './digests.ts';
import { named, Verifier } from './digests.ts';
import type { LayerTarget } from './native.ts';

export interface Passage {
  /** For messages, such as `layer 2 of 5 (012345678901)`. */
  readonly what: string;
  readonly chunks: Chunks;
  /** Of the archive as it is; undefined if nothing is promised: then it must have its end. */
  readonly expected?: Expected;
  /** Digest of the archive, uncompressed. */
  readonly diffId?: string;
  readonly limits: Limits;
  /** Counted on. */
  readonly usage: Usage;
  /** A new file for the archive as it came. */
  readonly keep?: string;
  /** Where entries are applied; it is finished, or aborted if anything fails. */
  readonly target?: LayerTarget;
  readonly warn: (text: string) => void;
  /** Gets each number of bytes that have come; may throw. */
  readonly came: (bytes: number) => void;
}

export interface Passed {
  /** Of the archive as it came. */
  readonly digest: string;
  /** Of the archive as it came, in bytes. */
  readonly archiveSize: number;
  readonly compression: Compression;
  /** Of the archive, uncompressed. */
  readonly diffId: string;
  readonly entries: number;
  /** Bytes of file content. */
  readonly size: number;
}

/** @throws StrataError `image-invalid` that names the layer, the entry and the reason; `system`. */
export async function passLayer(passage: Passage): Promise<Passed> {
  const { what, target, keep } = passage;
  let file: FileHandle | undefined;
  try {
    if (keep !== undefined) file = await open(keep, 'wx', 0o600);
    return await new Pass(passage, file).run();
  } catch (error) {
    await target?.abort();
    throw named(keep === undefined ? error : systemError(error, keep), what);
  } finally {
    await close(passage.chunks);
    await file?.close();
  }
}

class Pass {
  private readonly passage: Passage;
  private readonly file: FileHandle | undefined;
  private readonly archive: Verifier;
  /** Of what is uncompressed; undefined where that is the archive itself. */
  private content: Verifier | undefined;
  private readonly writer: RecordWriter;
  private readonly filter: LayerFilter;
  private readonly reader: TarReader;
  private readonly before: Usage;
  private plainSize = 0;
  private written: Promise<unknown> = Promise.resolve();

  constructor(passage: Passage, file: FileHandle | undefined) {
    const { target, limits, usage, expected } = passage;
    this.passage = passage;
    this.file = file;
    this.archive = new Verifier(expected);
    this.writer = new RecordWriter(target && ((size) => target.allocate(size)));
    this.filter = new LayerFilter(this.writer, limits, usage);
    this.reader = new TarReader(this.filter);
    this.before = { ...usage };
  }

  async run(): Promise<Passed> {
    const { what, target, usage, warn, diffId: promised } = this.passage;
    const { start, chunks } = await peek(this.passage.chunks);
    const compression = detect(start, 'the layer');
    const isSameDigest = compression === 'none' && (this.passage.expected?.digest.startsWith('sha256:') ?? true);
    this.content = isSameDigest ? undefined : new Verifier();
    await decompress(
      chunks,
      compression,
      'the layer',
      (chunk) => this.raw(chunk),
      (chunk) => this.plain(chunk),
    );
    await this.written;
    this.reader.end();
    const digest = this.archive.finish();
    const diffId = this.content?.finish() ?? digest;
    if (promised !== undefined && diffId !== promised) {
      const reason = `the digest of the uncompressed content is ${diffId}, and the image's configuration says ${promised}`;
      throw new StrataError({ code: 'image-invalid', reason });
    }
    if (promised === undefined && !this.reader.ended)
      throw new StrataError({ code: 'image-invalid', reason: 'the tar archive has no end: it is truncated' });
    if (target !== undefined) {
      for (const batch of this.writer.flush()) await target.write(batch);
      const { dropped, unsupported } = await target.finish();
      if (dropped > 0) this.filter.leftOut('extended attributes of overlayfs', dropped);
      if (unsupported > 0) this.filter.leftOut('extended attributes that the file system does not support', unsupported);
    }
    for (const [left, count] of this.filter.leftOutCounts) warn(`${what}: left out ${left} (${count})`);
    return {
      digest,
      archiveSize: this.archive.size,
      compression,
      diffId,
      entries: usage.entries - this.before.entries,
      size: usage.size - this.before.size,
    };
  }

  private async raw(chunk: Buffer): Promise<void> {
    this.passage.came(chunk.length);
    this.archive.update(chunk);
    if (this.file === undefined) return;
    // One write at a time, on a thread of libuv's, while the chunk is decompressed.
    await this.written;
    this.written = writeWhole(this.file, chunk);
    this.written.catch(() => {});
  }

  private async plain(chunk: Buffer): Promise<void> {
    this.plainSize += chunk.length;
    const { limits, target } = this.passage;
    if (this.content !== undefined) {
      this.content.update(chunk);
      checkRatio(this.plainSize, this.archive.size, limits);
    }
    this.reader.write(chunk);
    for (const batch of this.writer.take()) await target?.write(batch);
  }
}

async function writeWhole(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten;
}
