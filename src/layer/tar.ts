/**
 * Reads tar archives, strictly: POSIX ustar and pax (pax of POSIX.1-2008, "pax Interchange Format"), and what GNU tar has besides: long names, sparse
 * files of its own form and of pax 0.0, 0.1 and 1.0, numbers in base 256. Names, links and extended attributes are bytes throughout.
 */
import { StrataError } from '../base/error.ts';
import { ascii, asciiOf, quoteBytes } from './bytes.ts';
import type { Entry, EntryType, ExtendedAttribute, Timestamp } from './entry.ts';

/** What an archive consists of, in its order. What is called may throw; then the reader is of no more use. */
export interface TarSink {
  /** The data of a file follows it. */
  entry(entry: Entry): void;
  /** Part of the last entry's content at `offset` of the file; what comes in no part is a hole. `bytes` is lent until the call returns. */
  data(offset: number, bytes: Uint8Array): void;
  /** Something that the archive says of the last entry, or of all, is left out. */
  leftOut(what: string): void;
}

const BLOCK = 512;
/** Of a pax header or a long name, in bytes. */
const LONGEST_EXTENSION = 1024 * 1024;
/** Extended attributes of one entry; the kernel lists 64 KiB of their names, and most file systems hold fewer. */
const MOST_XATTRS = 4096;
/** Parts of a sparse file. */
const MOST_PARTS = 1024 * 1024;
/** A file that is larger has no number in JavaScript; no file system of Linux holds one that is larger than 2^63. */
const LARGEST = Number.MAX_SAFE_INTEGER;

const EMPTY = new Uint8Array(0);
const NO_XATTRS: readonly ExtendedAttribute[] = [];
const XATTR_PREFIX = 'SCHILY.xattr.';
const SLASH = 0x2f;

/** What the pax headers say; a property that is undefined is said by the header itself. */
interface Extended {
  path?: Uint8Array;
  link?: Uint8Array;
  size?: number;
  uid?: number;
  gid?: number;
  mtime?: Timestamp;
  xattrs?: Map<string, ExtendedAttribute>;
  sparse?: SparseHeaders;
}

/** `GNU.sparse.*` */
interface SparseHeaders {
  major?: number;
  minor?: number;
  name?: Uint8Array;
  size?: number;
  realSize?: number;
  /** How many parts there are to be. */
  count?: number;
  /** Offset and length in turn. */
  map?: number[];
}

interface Header {
  readonly type: string;
  readonly name: Uint8Array;
  readonly link: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: Timestamp;
  readonly major: number;
  readonly minor: number;
  /** Of GNU's form of sparse files. */
  readonly sparse: { readonly parts: number[]; readonly continued: boolean; readonly realSize: number } | undefined;
}

/** What the next bytes are. */
type State = 'header' | 'extension' | 'sparse-continued' | 'sparse-map' | 'data' | 'padding' | 'zero' | 'end';

export class TarReader {
  private readonly sink: TarSink;
  private state: State = 'header';
  /** Bytes that have been read. */
  private position = 0;
  /** Where the block begins that was read last, and where the header. */
  private blockAt = 0;
  private headerAt = 0;

  private readonly block = new Uint8Array(BLOCK);
  /** Bytes of `block` or `extension` that are filled. */
  private filled = 0;
  private extension: Uint8Array = EMPTY;
  private extensionType = '';

  private globals: Extended = {};
  private locals: Extended = {};
  private hasLocals = false;
  private longName: Uint8Array | undefined;
  private longLink: Uint8Array | undefined;

  /** The sparse file whose map is not yet complete. */
  private pending: Header | undefined;
  /** The text of a map of pax 1.0 that is not a whole number yet. */
  private digits = '';
  private mapNumbers: number[] = [];

  /** Bytes in the archive that are left of the current entry. */
  private left = 0;
  private padding = 0;
  /** Offset and length in turn; undefined for a file without holes. */
  private parts: number[] | undefined;
  /** Index into `parts`, and how much of that part has come. */
  private part = 0;
  private partDone = 0;

  constructor(sink: TarSink) {
    this.sink = sink;
  }

  /** Whether the two blocks of zeros that end an archive have been seen. */
  get ended(): boolean {
    return this.state === 'end';
  }

  /** Takes back the rest of the current entry's content: so many bytes of the archive, padding included, are not to be written. */
  skip(): number {
    if (this.state !== 'data' && this.state !== 'padding') return 0;
    const count = this.left + this.padding;
    this.left = 0;
    this.padding = 0;
    this.position += count;
    this.state = 'header';
    return count;
  }

  /** The next bytes of the archive, however many. @throws StrataError of code `image-invalid`. */
  write(bytes: Uint8Array): void {
    // Node's Buffer is a Uint8Array whose `slice` copies nothing.
    const chunk = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    const { length } = chunk;
    let at = 0;
    while (at < length) {
      const before = at;
      switch (this.state) {
        case 'data':
          at = this.takeData(chunk, at);
          break;
        case 'padding': {
          const count = Math.min(this.padding, length - at);
          this.padding -= count;
          at += count;
          if (this.padding === 0) this.state = 'header';
          break;
        }
        case 'extension':
          at = this.takeExtension(chunk, at);
          break;
        case 'end':
          for (; at < length; at++) if (chunk[at] !== 0) this.fail('something other than zeros follows the end of the archive');
          break;
        default:
          at = this.takeBlock(chunk, at);
      }
      this.position += at - before;
    }
  }

  /** Nothing more comes. An archive may lack its end, but not end within an entry. @throws StrataError of code `image-invalid`. */
  end(): void {
    const open = this.hasLocals || this.longName !== undefined || this.longLink !== undefined;
    if ((this.state !== 'header' && this.state !== 'zero' && this.state !== 'end') || this.filled > 0 || open) this.fail('the archive is truncated');
  }

  private fail(reason: string): never {
    throw new StrataError({
      code: 'image-invalid',
      reason: `${reason}, at byte ${this.state === 'header' ? this.blockAt : this.position} of the tar archive`,
    });
  }

  /** A fault of the entry whose header was the last. */
  private failEntry(name: Uint8Array, reason: string): never {
    throw new StrataError({ code: 'image-invalid', reason: `entry ${quoteBytes(name)}, at byte ${this.headerAt} of the tar archive: ${reason}` });
  }

  // --- blocks --------------------------------------------------------------------------------------------------------------------------------

  private takeBlock(chunk: Uint8Array, at: number): number {
    if (this.filled === 0 && chunk.length - at >= BLOCK) {
      this.blockAt = this.position;
      this.useBlock(chunk.subarray(at, at + BLOCK));
      return at + BLOCK;
    }
    if (this.filled === 0) this.blockAt = this.position;
    const count = Math.min(BLOCK - this.filled, chunk.length - at);
    this.block.set(chunk.subarray(at, at + count), this.filled);
    this.filled += count;
    if (this.filled === BLOCK) {
      this.filled = 0;
      this.useBlock(this.block);
    }
    return at + count;
  }

  private useBlock(block: Uint8Array): void {
    switch (this.state) {
      case 'sparse-continued':
        this.continueSparse(block);
        break;
      case 'sparse-map':
        this.takeMap(block);
        break;
      default:
        this.takeHeader(block);
    }
  }

  private takeHeader(block: Uint8Array): void {
    this.headerAt = this.blockAt;
    if (isZero(block)) {
      if (this.hasLocals || this.longName !== undefined || this.longLink !== undefined) this.fail('an extended header without an entry');
      this.state = this.state === 'zero' ? 'end' : 'zero';
      return;
    }
    if (this.state === 'zero') this.fail('a block of zeros between entries');
    this.checkSum(block);
    const type = String.fromCharCode(block[156] as number);
    switch (type) {
      case 'x':
      case 'g':
      case 'L':
      case 'K':
        this.beginExtension(type, this.size(block));
        return;
      default:
        this.begin(this.header(block, type));
    }
  }

  private checkSum(block: Uint8Array): void {
    const wanted = this.number(block, 148, 8, 'checksum');
    // The field itself counts as spaces. Some old programs have added up signed bytes.
    let unsigned = 8 * 0x20;
    let negative = 0;
    for (let at = 0; at < BLOCK; at++) {
      if (at === 148) at = 156;
      const byte = block[at] as number;
      unsigned += byte;
      if (byte > 127) negative++;
    }
    if (wanted !== unsigned && wanted !== unsigned - 256 * negative) this.fail('not a tar header: its checksum is wrong');
  }

  private header(block: Uint8Array, type: string): Header {
    const isUstar = block[257] === 0x75 && block[258] === 0x73 && block[259] === 0x74 && block[260] === 0x61 && block[261] === 0x72;
    const isGnu = isUstar && block[262] === 0x20;
    let name = text(block, 0, 100);
    if (isUstar && !isGnu && block[345] !== 0) {
      // star puts two times after a prefix that is shorter, and says so at the end.
      const isStar = block[508] === 0x74 && block[509] === 0x61 && block[510] === 0x72 && block[511] === 0;
      const prefix = text(block, 345, isStar ? 131 : 155);
      const joined = new Uint8Array(prefix.length + 1 + name.length);
      joined.set(prefix);
      joined[prefix.length] = SLASH;
      joined.set(name, prefix.length + 1);
      name = joined;
    }
    const isDevice = type === '3' || type === '4';
    return {
      type,
      name,
      link: type === '1' || type === '2' ? text(block, 157, 100) : EMPTY,
      mode: this.number(block, 100, 8, 'mode'),
      uid: this.number(block, 108, 8, 'uid'),
      gid: this.number(block, 116, 8, 'gid'),
      size: this.size(block),
      mtime: { seconds: this.integer(block, 136, 12, 'mtime'), nanoseconds: 0 },
      major: isDevice && isUstar ? this.number(block, 329, 8, 'devmajor') : 0,
      minor: isDevice && isUstar ? this.number(block, 337, 8, 'devminor') : 0,
      sparse: type === 'S' ? this.oldSparse(block) : undefined,
    };
  }

  private size(block: Uint8Array): number {
    return this.number(block, 124, 12, 'size');
  }

  // --- numbers -------------------------------------------------------------------------------------------------------------------------------

  /** A number that cannot be negative, and that JavaScript can hold. */
  private number(block: Uint8Array, at: number, length: number, field: string): number {
    if (((block[at] as number) & 0x80) !== 0) {
      const value = this.integer(block, at, length, field);
      if (value < 0n) this.fail(`a negative ${field}`);
      if (value > LARGEST) this.fail(`the ${field} ${value} is too large`);
      return Number(value);
    }
    let value = 0;
    let index = at;
    const end = at + length;
    while (index < end && block[index] === 0x20) index++;
    for (; index < end; index++) {
      const digit = (block[index] as number) - 0x30;
      if (digit < 0 || digit > 7) break;
      value = value * 8 + digit;
    }
    // Twelve digits at most: it cannot have become inexact.
    for (; index < end; index++) {
      const byte = block[index];
      if (byte !== 0 && byte !== 0x20) this.fail(`not a tar header: the ${field} is no octal number`);
    }
    return value;
  }

  private integer(block: Uint8Array, at: number, length: number, field: string): bigint {
    const first = block[at] as number;
    if ((first & 0x80) === 0) return BigInt(this.number(block, at, length, field));
    // Base 256, two's complement; the first bit is the mark.
    let value = BigInt((first & 0x40) === 0 ? first & 0x3f : (first & 0x7f) - 0x80);
    for (let index = at + 1; index < at + length; index++) value = value * 256n + BigInt(block[index] as number);
    return value;
  }

  private decimal(bytes: Uint8Array, from: number, to: number, field: string): number {
    if (from === to || to - from > 16) this.fail(`${field} is not a number that can be`);
    let value = 0;
    for (let at = from; at < to; at++) {
      const digit = (bytes[at] as number) - 0x30;
      if (digit < 0 || digit > 9) this.fail(`${field} is not a decimal number`);
      value = value * 10 + digit;
    }
    if (value > LARGEST) this.fail(`${field} is too large`);
    return value;
  }

  // --- extended headers ----------------------------------------------------------------------------------------------------------------------

  private beginExtension(type: string, size: number): void {
    const what = type === 'L' || type === 'K' ? 'long name' : 'pax header';
    if (size > LONGEST_EXTENSION) this.fail(`a ${what} of ${size} bytes, more than ${LONGEST_EXTENSION}`);
    if ((type === 'L' && this.longName !== undefined) || (type === 'K' && this.longLink !== undefined)) this.fail('two long names for one entry');
    if (type === 'x' && this.hasLocals) this.fail('two pax headers for one entry');
    this.extensionType = type;
    this.extension = new Uint8Array(size);
    this.padding = (BLOCK - (size % BLOCK)) % BLOCK;
    this.state = 'extension';
    if (size === 0) this.endExtension();
  }

  private takeExtension(chunk: Uint8Array, at: number): number {
    const count = Math.min(this.extension.length - this.filled, chunk.length - at);
    this.extension.set(chunk.subarray(at, at + count), this.filled);
    this.filled += count;
    if (this.filled === this.extension.length) {
      this.filled = 0;
      this.endExtension();
    }
    return at + count;
  }

  private endExtension(): void {
    const { extension } = this;
    this.extension = EMPTY;
    this.state = this.padding > 0 ? 'padding' : 'header';
    switch (this.extensionType) {
      case 'L':
        this.longName = text(extension, 0, extension.length);
        break;
      case 'K':
        this.longLink = text(extension, 0, extension.length);
        break;
      case 'g':
        this.globals = { ...this.globals, xattrs: new Map(this.globals.xattrs) };
        this.records(extension, this.globals, true);
        break;
      default:
        this.locals = {};
        this.hasLocals = true;
        this.records(extension, this.locals, false);
    }
  }

  /** Records of the form `LENGTH KEY=VALUE\n`, the length in decimal digits and of all of it. */
  private records(bytes: Uint8Array, into: Extended, isGlobal: boolean): void {
    let at = 0;
    while (at < bytes.length) {
      const space = bytes.indexOf(0x20, at);
      if (space < 0) this.fail('a pax record without a length');
      const end = at + this.decimal(bytes, at, space, 'the length of a pax record');
      if (end > bytes.length || end <= space + 1 || bytes[end - 1] !== 0x0a) this.fail('a pax record whose length is wrong');
      const equals = bytes.indexOf(0x3d, space + 1);
      if (equals <= space + 1 || equals >= end) this.fail('a pax record without a key');
      const key = bytes.subarray(space + 1, equals);
      if (key.includes(0)) this.fail('a pax record with a NUL in its key');
      this.record(key, bytes.subarray(equals + 1, end - 1), into, isGlobal);
      at = end;
    }
  }

  private record(rawKey: Uint8Array, value: Uint8Array, into: Extended, isGlobal: boolean): void {
    const key = ascii(rawKey);
    if (key.startsWith(XATTR_PREFIX) && key.length > XATTR_PREFIX.length) {
      into.xattrs ??= new Map();
      into.xattrs.set(key, { name: rawKey.slice(XATTR_PREFIX.length), value: value.slice() });
      if (into.xattrs.size > MOST_XATTRS) this.fail(`more than ${MOST_XATTRS} extended attributes in pax headers`);
      return;
    }
    if (isGlobal && (key === 'path' || key === 'linkpath' || key === 'size' || key.startsWith('GNU.sparse.')))
      this.fail(`a pax header for all entries that says ${key}`);
    if (key.startsWith('GNU.sparse.')) {
      into.sparse ??= {};
      this.sparseRecord(key, value, into.sparse);
      return;
    }
    const isEmpty = value.length === 0;
    switch (key) {
      case 'path':
        // An empty value takes back what was said before, and leaves the header's.
        if (isEmpty) delete into.path;
        else into.path = this.paxName(value, key);
        break;
      case 'linkpath':
        if (isEmpty) delete into.link;
        else into.link = this.paxName(value, key);
        break;
      case 'size':
        if (isEmpty) delete into.size;
        else into.size = this.decimal(value, 0, value.length, 'the size in a pax header');
        break;
      case 'uid':
      case 'gid':
        if (isEmpty) delete into[key];
        else into[key] = this.decimal(value, 0, value.length, `the ${key} in a pax header`);
        break;
      case 'mtime':
        if (isEmpty) delete into.mtime;
        else into.mtime = this.time(ascii(value));
        break;
      case 'hdrcharset':
        if (!isEmpty && !['ISO-IR 10646 2000 UTF-8', 'BINARY'].includes(ascii(value)))
          this.fail(`a pax header in the character set ${quoteBytes(value)}, which is not supported`);
        break;
      default:
        if (key.startsWith('SCHILY.acl.')) this.sink.leftOut('access control lists in the form of text');
    }
  }

  private paxName(value: Uint8Array, key: string): Uint8Array {
    if (value.includes(0)) this.fail(`a ${key} with a NUL in a pax header`);
    return value.slice();
  }

  /** Seconds in decimal, with a fraction of any length. */
  private time(value: string): Timestamp {
    const match = /^(-?)(\d{1,18})(?:\.(\d*))?$/.exec(value);
    if (match === null) this.fail('an mtime in a pax header that is not a time');
    const [, sign = '', whole = '0', fraction = ''] = match;
    const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, '0'));
    const seconds = BigInt(whole);
    if (sign === '') return { seconds, nanoseconds };
    return nanoseconds === 0 ? { seconds: -seconds, nanoseconds } : { seconds: -seconds - 1n, nanoseconds: 1_000_000_000 - nanoseconds };
  }

  // --- entries -------------------------------------------------------------------------------------------------------------------------------

  private begin(header: Header): void {
    const { locals, globals } = this;
    const sparse = locals.sparse;
    if (sparse !== undefined && (header.type === '0' || header.type === '\0' || header.type === '7')) {
      this.beginPaxSparse(header, sparse);
      return;
    }
    if (sparse !== undefined) this.failEntry(header.name, 'sparse, and not a file');
    if (header.sparse?.continued === true) {
      this.pending = header;
      this.state = 'sparse-continued';
      return;
    }
    const stored = locals.size ?? globals.size ?? header.size;
    if (header.sparse !== undefined) this.give(header, stored, header.sparse.realSize, header.sparse.parts);
    else this.give(header, stored, stored, undefined);
  }

  private name(header: Header): Uint8Array {
    const name = this.locals.sparse?.name ?? this.locals.path ?? this.longName ?? header.name;
    if (name.length === 0) this.fail('an entry without a name');
    return name;
  }

  /** Tells the sink of an entry of which `stored` bytes follow in the archive, and which is `size` bytes long. */
  private give(header: Header, stored: number, size: number, parts: number[] | undefined): void {
    const { locals, globals } = this;
    const path = this.name(header);
    const type = this.type(header.type, path);
    // Such entries have no content whatever their size says: so all readers for images take it.
    const content = type === 'file' ? stored : 0;
    if (parts !== undefined) this.checkParts(path, parts, stored, size);
    const link = type === 'symlink' || type === 'hardlink' ? (locals.link ?? this.longLink ?? header.link) : EMPTY;
    if (link.length === 0 && (type === 'symlink' || type === 'hardlink')) this.failEntry(path, 'a link that leads nowhere');
    const xattrs = attributes(globals.xattrs, locals.xattrs);
    this.hasLocals = false;
    this.locals = {};
    this.longName = undefined;
    this.longLink = undefined;
    this.sink.entry({
      type,
      path,
      mode: header.mode & 0o7777,
      uid: locals.uid ?? globals.uid ?? header.uid,
      gid: locals.gid ?? globals.gid ?? header.gid,
      mtime: locals.mtime ?? globals.mtime ?? header.mtime,
      size: BigInt(type === 'file' ? size : 0),
      link,
      major: header.major,
      minor: header.minor,
      xattrs,
    });
    this.left = content;
    this.padding = (BLOCK - (content % BLOCK)) % BLOCK;
    this.parts = parts;
    this.part = 0;
    this.partDone = 0;
    this.state = content > 0 ? 'data' : 'header';
  }

  private type(flag: string, path: Uint8Array): EntryType {
    switch (flag) {
      case '0':
      case '\0':
      case '7':
      case 'S':
        // As the oldest archives have it.
        return path[path.length - 1] === SLASH && flag !== 'S' ? 'directory' : 'file';
      case '1':
        return 'hardlink';
      case '2':
        return 'symlink';
      case '3':
        return 'character';
      case '4':
        return 'block';
      case '5':
        return 'directory';
      case '6':
        return 'fifo';
      default:
        return this.failEntry(path, `of a type that is not supported, '${flag}'`);
    }
  }

  private takeData(chunk: Uint8Array, at: number): number {
    const count = Math.min(this.left, chunk.length - at);
    this.left -= count;
    if (this.parts === undefined) {
      this.sink.data(this.partDone, chunk.subarray(at, at + count));
      this.partDone += count;
    } else {
      this.takeParts(chunk.subarray(at, at + count), this.parts);
    }
    if (this.left === 0) this.state = this.padding > 0 ? 'padding' : 'header';
    return at + count;
  }

  private takeParts(bytes: Uint8Array, parts: readonly number[]): void {
    let at = 0;
    while (at < bytes.length) {
      const offset = parts[this.part] as number;
      const length = parts[this.part + 1] as number;
      const count = Math.min(length - this.partDone, bytes.length - at);
      if (count > 0) this.sink.data(offset + this.partDone, bytes.subarray(at, at + count));
      at += count;
      this.partDone += count;
      if (this.partDone === length) {
        this.part += 2;
        this.partDone = 0;
      }
    }
  }

  // --- sparse files --------------------------------------------------------------------------------------------------------------------------

  private oldSparse(block: Uint8Array): { parts: number[]; continued: boolean; realSize: number } {
    const parts: number[] = [];
    this.oldParts(block, 386, 4, parts);
    return { parts, continued: block[482] !== 0, realSize: this.number(block, 483, 12, 'size of a sparse file') };
  }

  private oldParts(block: Uint8Array, from: number, count: number, parts: number[]): void {
    for (let at = from; at < from + count * 24 && block[at] !== 0; at += 24) {
      parts.push(this.number(block, at, 12, 'offset in a sparse file'), this.number(block, at + 12, 12, 'length in a sparse file'));
    }
  }

  private continueSparse(block: Uint8Array): void {
    const header = this.pending as Header;
    const { parts = [], realSize = 0 } = header.sparse ?? {};
    this.oldParts(block, 0, 21, parts);
    this.checkCount(header.name, parts.length / 2);
    if (block[504] !== 0) return;
    this.pending = undefined;
    this.give(header, this.locals.size ?? header.size, realSize, parts);
  }

  private sparseRecord(key: string, value: Uint8Array, sparse: SparseHeaders): void {
    const number = (): number => this.decimal(value, 0, value.length, key);
    switch (key) {
      case 'GNU.sparse.major':
        sparse.major = number();
        break;
      case 'GNU.sparse.minor':
        sparse.minor = number();
        break;
      case 'GNU.sparse.name':
        sparse.name = this.paxName(value, key);
        break;
      case 'GNU.sparse.size':
        sparse.size = number();
        break;
      case 'GNU.sparse.realsize':
        sparse.realSize = number();
        break;
      case 'GNU.sparse.numblocks':
        sparse.count = number();
        break;
      case 'GNU.sparse.offset':
      case 'GNU.sparse.numbytes': {
        sparse.map ??= [];
        if ((sparse.map.length % 2 === 0) !== (key === 'GNU.sparse.offset')) this.fail('offsets and lengths of a sparse file do not alternate');
        sparse.map.push(number());
        break;
      }
      case 'GNU.sparse.map': {
        sparse.map = [];
        let from = 0;
        while (from < value.length) {
          let comma = value.indexOf(0x2c, from);
          if (comma < 0) comma = value.length;
          sparse.map.push(this.decimal(value, from, comma, key));
          from = comma + 1;
        }
        break;
      }
      default:
        this.fail(`a pax header with ${key}, which is not known`);
    }
  }

  private beginPaxSparse(header: Header, sparse: SparseHeaders): void {
    const stored = this.locals.size ?? header.size;
    const form = `${sparse.major ?? 0}.${sparse.minor ?? 0}`;
    if (form === '1.0') {
      if (sparse.realSize === undefined) this.failEntry(this.name(header), 'a sparse file without its size');
      this.pending = { ...header, size: stored };
      this.mapNumbers = [];
      this.digits = '';
      this.state = 'sparse-map';
      return;
    }
    if (sparse.major !== undefined) this.failEntry(this.name(header), `a sparse file of the form ${form}, which is not known`);
    const { map = [], count = map.length / 2 } = sparse;
    const size = sparse.size ?? sparse.realSize;
    if (size === undefined) this.failEntry(this.name(header), 'a sparse file without its size');
    if (map.length % 2 !== 0 || count !== map.length / 2) this.failEntry(this.name(header), 'a sparse file with a map that is not complete');
    this.give(header, stored, size, map);
  }

  /** A block of the map of pax 1.0, which stands before the data: decimal numbers on lines of their own, their count first. */
  private takeMap(block: Uint8Array): void {
    const header = this.pending as Header;
    const numbers = this.mapNumbers;
    this.pending = { ...header, size: header.size - BLOCK };
    if (header.size < BLOCK) this.failEntry(this.name(header), 'a sparse file with a map that is not complete');
    for (let at = 0; at < BLOCK && !isComplete(numbers); at++) {
      const byte = block[at] as number;
      if (byte === 0x0a) {
        numbers.push(this.decimal(asciiOf(this.digits), 0, this.digits.length, 'a number in the map of a sparse file'));
        if (numbers.length === 1) this.checkCount(this.name(header), numbers[0] as number);
        this.digits = '';
      } else {
        if (this.digits.length > 20) this.failEntry(this.name(header), 'a sparse file with a map that is none');
        this.digits += String.fromCharCode(byte);
      }
    }
    if (!isComplete(numbers)) return;
    this.pending = undefined;
    this.give(header, header.size - BLOCK, this.locals.sparse?.realSize ?? 0, numbers.slice(1));
  }

  private checkCount(name: Uint8Array, count: number): void {
    if (count > MOST_PARTS) this.failEntry(name, `a sparse file of more than ${MOST_PARTS} parts`);
  }

  private checkParts(name: Uint8Array, parts: readonly number[], stored: number, size: number): void {
    let end = 0;
    let sum = 0;
    for (let at = 0; at < parts.length; at += 2) {
      const offset = parts[at] as number;
      const length = parts[at + 1] as number;
      if (offset < end || length > size || offset > size - length) this.failEntry(name, 'a sparse file whose parts overlap or lie beyond its end');
      end = offset + length;
      sum += length;
    }
    if (sum !== stored) this.failEntry(name, `a sparse file whose parts are ${sum} bytes, and in the archive are ${stored}`);
  }
}

function isComplete(numbers: readonly number[]): boolean {
  return numbers.length > 0 && numbers.length === 1 + 2 * (numbers[0] as number);
}

function isZero(block: Uint8Array): boolean {
  if (block[0] !== 0) return false;
  for (let at = 1; at < BLOCK; at++) if (block[at] !== 0) return false;
  return true;
}

/** A copy of the field up to its first NUL. */
function text(block: Uint8Array, at: number, length: number): Uint8Array {
  let end = at;
  while (end < at + length && block[end] !== 0) end++;
  return block.slice(at, end);
}

function attributes(
  globals: ReadonlyMap<string, ExtendedAttribute> | undefined,
  locals: ReadonlyMap<string, ExtendedAttribute> | undefined,
): readonly ExtendedAttribute[] {
  if (globals === undefined && locals === undefined) return NO_XATTRS;
  return [...new Map([...(globals ?? []), ...(locals ?? [])]).values()];
}
