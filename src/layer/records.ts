/**
 * How entries of a layer go to the core and come from it: batches of records, each whole in its batch. The twin is `native/core/layer/records.hpp`.
 *
 * A record is its kind and the length of what follows, both u32; numbers are little-endian, and text is its length (u32) and its bytes:
 *
 *     entry      u32 type, existed, mode, uid, gid, nanoseconds, major, minor; i64 seconds; u64 size; path; link; u32 count; count x (name; value)
 *     data       u64 offset, then the bytes: contents of the file of the last entry; what is not written is a hole
 *     whiteout   the bytes of the path that is hidden
 *     opaque     the bytes of the path of the directory that hides what is below it
 */
import type { Entry, EntryType, ExtendedAttribute } from './entry.ts';

export type LayerRecord =
  /** `existed`: a lower layer has it too; only a scan says so. */
  | { readonly kind: 'entry'; readonly entry: Entry; readonly existed: boolean }
  /** `bytes` is a part of the batch. */
  | { readonly kind: 'data'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'whiteout'; readonly path: Uint8Array }
  | { readonly kind: 'opaque'; readonly path: Uint8Array };

const KINDS = ['entry', 'data', 'whiteout', 'opaque'] as const;
const ENTRY = 1;
const DATA = 2;
const WHITEOUT = 3;
const OPAQUE = 4;

/** By number: a type's place in this list. */
const TYPES: readonly EntryType[] = ['file', 'directory', 'symlink', 'hardlink', 'character', 'block', 'fifo'];

const HEADER = 8;
/** Of an entry, what is before its path. */
const FIXED = 8 * 4 + 2 * 8;
const BATCH_SIZE = 1024 * 1024;
/** Not worth a data record of its own at the end of a batch. */
const SCRAP = 4096;

export class RecordWriter {
  private readonly allocate: (size: number) => Uint8Array;
  private full: Uint8Array[] = [];
  private batch: Uint8Array | undefined;
  private view: DataView | undefined;
  private used = 0;

  /** `allocate`: where batches come from; what they hold before does not matter. */
  constructor(allocate: (size: number) => Uint8Array = (size) => new Uint8Array(size)) {
    this.allocate = allocate;
  }

  entry(entry: Entry, existed = false): void {
    let size = FIXED + 4 + entry.path.length + 4 + entry.link.length + 4;
    for (const { name, value } of entry.xattrs) size += 8 + name.length + value.length;
    const view = this.begin(ENTRY, size);
    const at = this.used;
    view.setUint32(at, TYPES.indexOf(entry.type), true);
    view.setUint32(at + 4, existed ? 1 : 0, true);
    view.setUint32(at + 8, entry.mode, true);
    view.setUint32(at + 12, entry.uid, true);
    view.setUint32(at + 16, entry.gid, true);
    view.setUint32(at + 20, entry.mtime.nanoseconds, true);
    view.setUint32(at + 24, entry.major, true);
    view.setUint32(at + 28, entry.minor, true);
    view.setBigInt64(at + 32, entry.mtime.seconds, true);
    view.setBigUint64(at + 40, entry.size, true);
    this.used += FIXED;
    this.text(entry.path);
    this.text(entry.link);
    this.number(entry.xattrs.length);
    for (const { name, value } of entry.xattrs) {
      this.text(name);
      this.text(value);
    }
  }

  /** Contents of the file of the last entry, from `offset` on. The bytes are copied. */
  data(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      let room = this.batch === undefined ? 0 : this.batch.length - this.used - HEADER - 8;
      if (room < Math.min(SCRAP, bytes.length - done)) room = BATCH_SIZE - HEADER - 8;
      const size = Math.min(room, bytes.length - done);
      this.begin(DATA, 8 + size).setBigUint64(this.used, BigInt(offset + done), true);
      this.used += 8;
      this.bytes(bytes.subarray(done, done + size));
      done += size;
    }
  }

  whiteout(path: Uint8Array): void {
    this.begin(WHITEOUT, path.length);
    this.bytes(path);
  }

  opaque(path: Uint8Array): void {
    this.begin(OPAQUE, path.length);
    this.bytes(path);
  }

  /** The batches that are full; the writer keeps the one that is not. */
  take(): Uint8Array[] {
    const { full } = this;
    if (full.length > 0) this.full = [];
    return full;
  }

  /** All batches, the unfinished one included. */
  flush(): Uint8Array[] {
    this.close();
    return this.take();
  }

  private close(): void {
    if (this.batch === undefined) return;
    this.full.push(this.batch.subarray(0, this.used));
    this.batch = undefined;
    this.view = undefined;
    this.used = 0;
  }

  /** Begins a record with `size` bytes behind its header, for which there is room then. */
  private begin(kind: number, size: number): DataView {
    if (this.batch !== undefined && this.batch.length - this.used < HEADER + size) this.close();
    if (this.batch === undefined || this.view === undefined) {
      this.batch = this.allocate(Math.max(BATCH_SIZE, HEADER + size));
      this.view = new DataView(this.batch.buffer, this.batch.byteOffset, this.batch.byteLength);
    }
    this.view.setUint32(this.used, kind, true);
    this.view.setUint32(this.used + 4, size, true);
    this.used += HEADER;
    return this.view;
  }

  private number(value: number): void {
    this.view?.setUint32(this.used, value, true);
    this.used += 4;
  }

  private text(bytes: Uint8Array): void {
    this.number(bytes.length);
    this.bytes(bytes);
  }

  private bytes(bytes: Uint8Array): void {
    this.batch?.set(bytes, this.used);
    this.used += bytes.length;
  }
}

/** Reads a batch that the core has made, and is trusted for that. */
export class RecordReader {
  private readonly batch: Uint8Array;
  private readonly view: DataView;
  private at = 0;

  constructor(batch: Uint8Array) {
    this.batch = batch;
    this.view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  }

  /** The next record, undefined at the end of the batch. */
  next(): LayerRecord | undefined {
    if (this.at === this.batch.length) return undefined;
    const kind = KINDS[this.number() - 1];
    const size = this.number();
    const end = this.at + size;
    switch (kind) {
      case 'entry':
        return this.entry();
      case 'data': {
        const offset = Number(this.view.getBigUint64(this.at, true));
        this.at += 8;
        return { kind, offset, bytes: this.bytes(end - this.at) };
      }
      case 'whiteout':
      case 'opaque':
        return { kind, path: this.bytes(size) };
      case undefined:
        throw new RangeError('a record of no kind');
    }
  }

  private entry(): LayerRecord {
    const { at, view } = this;
    const type = TYPES[view.getUint32(at, true)];
    if (type === undefined) throw new RangeError('an entry of no type');
    this.at += FIXED;
    const path = this.text();
    const link = this.text();
    const xattrs: ExtendedAttribute[] = [];
    for (let left = this.number(); left > 0; left -= 1) xattrs.push({ name: this.text(), value: this.text() });
    const entry: Entry = {
      type,
      path,
      mode: view.getUint32(at + 8, true),
      uid: view.getUint32(at + 12, true),
      gid: view.getUint32(at + 16, true),
      mtime: { seconds: view.getBigInt64(at + 32, true), nanoseconds: view.getUint32(at + 20, true) },
      size: view.getBigUint64(at + 40, true),
      link,
      major: view.getUint32(at + 24, true),
      minor: view.getUint32(at + 28, true),
      xattrs,
    };
    return { kind: 'entry', entry, existed: view.getUint32(at + 4, true) !== 0 };
  }

  private number(): number {
    const value = this.view.getUint32(this.at, true);
    this.at += 4;
    return value;
  }

  private text(): Uint8Array {
    return this.bytes(this.number());
  }

  private bytes(size: number): Uint8Array {
    const bytes = this.batch.subarray(this.at, this.at + size);
    this.at += size;
    return bytes;
  }
}
