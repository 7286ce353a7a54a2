/** Makes the archive of a layer from records. The same records give the same bytes. */
import { StrataError } from '../base/error.ts';
import { quoteBytes } from './bytes.ts';
import { DEFAULT_LIMITS } from './filter.ts';
import type { LayerRecord } from './records.ts';
import { TAR_END, tarHeader, tarPadding, whiteoutEntry } from './tar-writer.ts';

/** What is handed on at once. */
const PART = 256 * 1024;

export class LayerArchiveWriter {
  /** What has been added: with whiteouts, and the bytes of file content. */
  entries = 0;
  total = 0;
  private readonly sink: (part: Uint8Array) => Promise<void>;
  private readonly part = new Uint8Array(PART);
  private used = 0;
  /** Of the content of the last entry: how much it has, and how much of that has come. */
  private size = 0n;
  private written = 0n;

  /** `sink`: gets the archive part by part; each is used again as soon as that has resolved. */
  constructor(sink: (part: Uint8Array) => Promise<void>) {
    this.sink = sink;
  }

  /** @throws StrataError `config-unsupported` for more than an import takes: a hole costs a container nothing, and an archive all of its zeros. */
  async add(record: LayerRecord): Promise<void> {
    switch (record.kind) {
      case 'entry':
        await this.endContent();
        this.entries += 1;
        if (record.entry.type === 'file') this.size = record.entry.size;
        this.total += Number(this.size);
        if (this.total > DEFAULT_LIMITS.maxSize) {
          const reason = `${quoteBytes(record.entry.path)} makes the layer larger than ${DEFAULT_LIMITS.maxSize} bytes, holes included`;
          throw new StrataError({ code: 'config-unsupported', reason });
        }
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

  /** When all has been handed on. */
  async finish(): Promise<void> {
    await this.endContent();
    await this.put(TAR_END);
    await this.flush();
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
    if (this.used > 0) await this.sink(this.part.subarray(0, this.used));
    this.used = 0;
  }
}

const ZEROS = new Uint8Array(64 * 1024);
