/**
 * Writes what a layer's archive is made of: pax interchange format (POSIX.1-2001), the same bytes for the same entries. A name that fits into the
 * header stands there byte for byte; a pax header comes before an entry only for what the plain one cannot hold.
 */
import type { Entry, EntryType, Timestamp } from './entry.ts';

/** All lengths in an archive are multiples of this, in bytes. */
export const BLOCK = 512;

/** What an archive ends with. */
export const TAR_END = new Uint8Array(2 * BLOCK);

const TYPE_FLAGS: Readonly<Record<EntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** Bytes of the fields `name` and `linkname`. */
const NAME_SIZE = 100;
/** The largest numbers that 7 and 11 octal digits hold. */
const MOST_7 = 0o7777777;
const MOST_11 = 0o77777777777n;

const NO_BYTES = new Uint8Array(0);
/** The name of every pax header; nobody reads it. */
const PAX_NAME = ascii('././@PaxHeader');
const EPOCH: Timestamp = { seconds: 0n, nanoseconds: 0 };

/** The blocks before an entry's content: its header, and a pax header before that where it needs one. */
export function tarHeader(entry: Entry): Uint8Array {
  const path = archivePath(entry);
  const records = paxRecords(entry, path);
  const header = plainHeader(TYPE_FLAGS[entry.type], path, entry.link, entry, entry.type === 'file' ? entry.size : 0n);
  if (records.length === 0) return header;
  const text = concatenate(records);
  const fields = { mode: 0o644, uid: 0, gid: 0, mtime: EPOCH, major: 0, minor: 0 };
  const before = plainHeader('x', PAX_NAME, NO_BYTES, fields, BigInt(text.length));
  return concatenate([before, text, tarPadding(BigInt(text.length)), header]);
}

/** The zeros after content of this many bytes. */
export function tarPadding(size: bigint): Uint8Array {
  const over = Number(size % BigInt(BLOCK));
  return over === 0 ? NO_BYTES : new Uint8Array(BLOCK - over);
}

/** The entry that says that `path` of the layers below is not there any more: layer.md, Whiteouts. */
export function whiteoutEntry(path: Uint8Array): Entry {
  const base = path.lastIndexOf(SLASH) + 1;
  const name = concatenate([path.subarray(0, base), ascii('.wh.'), path.subarray(base)]);
  return { type: 'file', path: name, mode: 0o600, uid: 0, gid: 0, mtime: EPOCH, size: 0n, link: NO_BYTES, major: 0, minor: 0, xattrs: [] };
}

const SLASH = 0x2f;

/** Directories end with a slash, and the root is `./`: so tar does it, and so readers know them. */
function archivePath({ type, path }: Entry): Uint8Array {
  if (path.length === 0) return ascii('./');
  return type === 'directory' && path.at(-1) !== SLASH ? concatenate([path, ascii('/')]) : path;
}

function plainHeader(
  type: string,
  path: Uint8Array,
  link: Uint8Array,
  { mode, uid, gid, mtime, major, minor }: Pick<Entry, 'mode' | 'uid' | 'gid' | 'mtime' | 'major' | 'minor'>,
  size: bigint,
): Uint8Array {
  const block = new Uint8Array(BLOCK);
  block.set(path.subarray(0, NAME_SIZE), 0);
  octal(block, 100, 7, BigInt(mode));
  octal(block, 108, 7, BigInt(uid > MOST_7 ? 0 : uid));
  octal(block, 116, 7, BigInt(gid > MOST_7 ? 0 : gid));
  octal(block, 124, 11, size > MOST_11 ? 0n : size);
  octal(block, 136, 11, fitsSeconds(mtime) ? mtime.seconds : 0n);
  block.set(ascii(type), 156);
  block.set(link.subarray(0, NAME_SIZE), 157);
  block.set(ascii('ustar\0' + '00'), 257);
  octal(block, 329, 7, BigInt(major));
  octal(block, 337, 7, BigInt(minor));
  // The sum is of the block with spaces in the sum's own field.
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  octal(block, 148, 6, BigInt(sum));
  return block;
}

/** What the plain header has no room for, in a fixed order. */
function paxRecords(entry: Entry, path: Uint8Array): Uint8Array[] {
  const { link, uid, gid, size, mtime } = entry;
  const records: Uint8Array[] = [];
  if (path.length > NAME_SIZE) records.push(paxRecord(ascii('path'), path));
  if (link.length > NAME_SIZE) records.push(paxRecord(ascii('linkpath'), link));
  // Names are bytes, whatever a reader thinks of them; without this record pax text is UTF-8.
  if (records.length > 0 && !(isAscii(path) && isAscii(link))) records.unshift(paxRecord(ascii('hdrcharset'), ascii('BINARY')));
  if (uid > MOST_7) records.push(paxRecord(ascii('uid'), ascii(String(uid))));
  if (gid > MOST_7) records.push(paxRecord(ascii('gid'), ascii(String(gid))));
  if (entry.type === 'file' && size > MOST_11) records.push(paxRecord(ascii('size'), ascii(String(size))));
  if (mtime.nanoseconds !== 0 || !fitsSeconds(mtime)) records.push(paxRecord(ascii('mtime'), ascii(decimalTime(mtime))));
  for (const { name, value } of entry.xattrs) records.push(paxRecord(concatenate([ascii('SCHILY.xattr.'), name]), value));
  return records;
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts its own digits too. */
function paxRecord(key: Uint8Array, value: Uint8Array): Uint8Array {
  const rest = key.length + value.length + 3;
  let length = rest + 1;
  while (String(length).length + rest !== length) length = String(length).length + rest;
  return concatenate([ascii(`${length} `), key, ascii('='), value, ascii('\n')]);
}

/** Before 1970 the fraction counts backwards: half a second before it is -0.5, that is -1 s and 500000000 ns. */
function decimalTime({ seconds, nanoseconds }: Timestamp): string {
  const total = seconds * 1_000_000_000n + BigInt(nanoseconds);
  const [sign, size] = total < 0n ? ['-', -total] : ['', total];
  const fraction = String(size % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  const whole = `${sign}${size / 1_000_000_000n}`;
  return fraction === '' ? whole : `${whole}.${fraction}`;
}

function fitsSeconds({ seconds }: Timestamp): boolean {
  return seconds >= 0n && seconds <= MOST_11;
}

/** Digits and a NUL. */
function octal(block: Uint8Array, at: number, digits: number, value: bigint): void {
  block.set(ascii(`${value.toString(8).padStart(digits, '0')}\0`), at);
}

function isAscii(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte < 0x80);
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
