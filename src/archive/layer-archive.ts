/** Writes the archive of a layer from records: tar, compressed with gzip, both digests taken on the way. The same records give the same bytes. */
import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { createGzip } from 'node:zlib';
import type { LayerRecord } from '../layer/records.ts';
import { TAR_END, tarHeader, tarPadding, whiteoutEntry } from '../layer/tar-writer.ts';
import { systemError } from './bytes.ts';

export interface LayerArchive {
  /** Of the file. */
  readonly digest: string;
  /** Of the file, in bytes. */
  readonly archiveSize: number;
  /** Digest of the archive before compression. */
  readonly diffId: string;
  readonly entries: number;
  /** Bytes of file content. */
  readonly size: number;
}

/** What is given to zlib at once: each time costs a task on another thread. */
const PART = 256 * 1024;

export class LayerArchiveWriter {
  private readonly path: string;
  private readonly file: FileHandle;
  private readonly check: () => void;
  private readonly gzip = createGzip({ chunkSize: PART });
  private readonly plain = createHash('sha256');
  private readonly compressed: Hash = createHash('sha256');
  private readonly output: Promise<void>;
  private part = Buffer.allocUnsafeSlow(PART);
  private used = 0;
  private archiveSize = 0;
  private entries = 0;
  private total = 0;
  /** Of the content of the last entry: how much it has, and how much of that has come. */
  private size = 0n;
  private written = 0n;

  private constructor(path: string, file: FileHandle, check: () => void) {
    this.path = path;
    this.file = file;
    this.check = check;
    this.output = this.consume();
    // Told to whoever writes next.
    this.output.catch(() => {});
  }

  /** A writer to a new file. `check` ends the work by throwing: a single hole can be larger than any disk. @throws StrataError `system`. */
  static async open(path: string, check: () => void): Promise<LayerArchiveWriter> {
    try {
      return new LayerArchiveWriter(path, await open(path, 'wx', 0o600), check);
    } catch (error) {
      throw systemError(error, path);
    }
  }

  /** @throws StrataError `system`, and what `check` throws. */
  async add(record: LayerRecord): Promise<void> {
    switch (record.kind) {
      case 'entry':
        await this.endContent();
        this.entries += 1;
        if (record.entry.type === 'file') this.size = record.entry.size;
        this.total += Number(this.size);
        return this.put(tarHeader(record.entry));
      case 'data':
        // layer.md has no holes: what is not written reads as zeros.
        await this.putZeros(BigInt(record.offset) - this.written);
        this.written += BigInt(record.bytes.length);
        return this.put(record.bytes);
      case 'whiteout':
        await this.endContent();
        this.entries += 1;
        return this.put(tarHeader(whiteoutEntry(record.path)));
      case 'opaque':
        throw new RangeError('a scan tells what is hidden one by one');
    }
  }

  /** When all is in the file. @throws StrataError `system`, and what `check` throws. */
  async finish(): Promise<LayerArchive> {
    await this.endContent();
    await this.put(TAR_END);
    await this.flush();
    this.gzip.end();
    await this.output;
    const { archiveSize, entries, total: size } = this;
    return { digest: `sha256:${this.compressed.digest('hex')}`, archiveSize, diffId: `sha256:${this.plain.digest('hex')}`, entries, size };
  }

  /** In any case, at the end. */
  async close(): Promise<void> {
    this.gzip.destroy();
    await this.output.catch(() => {});
    await this.file.close();
  }

  private async endContent(): Promise<void> {
    await this.putZeros(this.size - this.written);
    await this.put(tarPadding(this.size));
    this.size = 0n;
    this.written = 0n;
  }

  private async putZeros(count: bigint): Promise<void> {
    this.written += count;
    for (let left = count; left > 0n; left -= BigInt(ZEROS.length)) await this.put(left < ZEROS.length ? ZEROS.subarray(0, Number(left)) : ZEROS);
  }

  private async put(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const count = Math.min(bytes.length - done, PART - this.used);
      this.part.set(bytes.subarray(done, done + count), this.used);
      this.used += count;
      done += count;
      if (this.used === PART) await this.flush();
    }
  }

  private async flush(): Promise<void> {
    this.check();
    const part = this.part.subarray(0, this.used);
    this.plain.update(part);
    const hasRoom = this.gzip.write(part);
    // That one is zlib's until it is compressed.
    this.part = Buffer.allocUnsafeSlow(PART);
    this.used = 0;
    if (!hasRoom) await Promise.race([once(this.gzip, 'drain'), this.output]);
  }

  private async consume(): Promise<void> {
    try {
      for await (const chunk of this.gzip) {
        const bytes = chunk as Buffer;
        this.compressed.update(bytes);
        this.archiveSize += bytes.length;
        for (let done = 0; done < bytes.length; ) done += (await this.file.write(bytes, done)).bytesWritten;
      }
    } catch (error) {
      throw systemError(error, this.path);
    }
  }
}

const ZEROS = new Uint8Array(PART);
