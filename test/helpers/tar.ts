/** Writes tar archives entry by entry, sound ones and others: every field can be given as raw bytes. */

const BLOCK = 512;

export interface TarEntry {
  readonly name: string | Uint8Array;
  /** '0' if not given. */
  readonly type?: string;
  readonly data?: string | Uint8Array;
  readonly link?: string | Uint8Array;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** The field; the data's length if not given. */
  readonly size?: number;
  readonly mtime?: number;
  readonly major?: number;
  readonly minor?: number;
  readonly prefix?: string;
  /** A pax header that goes before it. */
  readonly pax?: Readonly<Record<string, string | Uint8Array>> | readonly (readonly [string, string | Uint8Array])[];
  /** `ustar` if not given. */
  readonly magic?: 'ustar' | 'gnu' | 'v7';
  /** Bytes of the header by offset, written last but for the checksum. */
  readonly raw?: Readonly<Record<number, string | Uint8Array>>;
  /** In place of the right one. */
  readonly checksum?: number;
}

export function bytesOf(text: string | Uint8Array): Uint8Array {
  return typeof text === 'string' ? Buffer.from(text) : text;
}

/** A whole archive, with the two blocks that end it. */
export function tar(...entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.map(tarEntry), Buffer.alloc(2 * BLOCK)]);
}

/** One entry with what goes before it and its data. */
export function tarEntry(entry: TarEntry): Buffer {
  const data = bytesOf(entry.data ?? '');
  const before = entry.pax === undefined ? [] : [paxHeader(Array.isArray(entry.pax) ? entry.pax : Object.entries(entry.pax))];
  return Buffer.concat([...before, header(entry, data.length), padded(data)]);
}

/** A pax header for the next entry, or with type `g` for all that follow. */
export function paxHeader(records: readonly (readonly [string, string | Uint8Array])[], type = 'x'): Buffer {
  const text = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  return Buffer.concat([header({ name: 'pax', type }, text.length), padded(text)]);
}

/** GNU's long name (`L`) or long link (`K`). */
export function longName(name: string | Uint8Array, type: 'L' | 'K' = 'L'): Buffer {
  const text = Buffer.concat([bytesOf(name), Buffer.alloc(1)]);
  return Buffer.concat([header({ name: '././@LongLink', type, magic: 'gnu' }, text.length), padded(text)]);
}

export function paxRecord(key: string, value: string | Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), bytesOf(value), Buffer.from('\n')]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length += 1;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

export function padded(data: Uint8Array): Buffer {
  return Buffer.concat([data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}

/** A field in octal digits with a NUL behind them. */
export function octal(value: number, length: number): string {
  return `${value.toString(8).padStart(length - 1, '0')}\0`;
}

/** A field in base 256. */
export function base256(value: bigint, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let left = value;
  for (let at = length - 1; at >= 0; at -= 1) {
    out[at] = Number(left & 0xffn);
    left >>= 8n;
  }
  out[0] = (out[0] ?? 0) | 0x80;
  return out;
}

function header(entry: TarEntry, length: number): Buffer {
  const out = Buffer.alloc(BLOCK);
  const put = (at: number, text: string | Uint8Array): void => void out.set(bytesOf(text), at);
  const { magic = 'ustar', type = '0' } = entry;
  put(0, bytesOf(entry.name).subarray(0, 100));
  put(100, octal(entry.mode ?? (type === '5' ? 0o755 : 0o644), 8));
  put(108, octal(entry.uid ?? 0, 8));
  put(116, octal(entry.gid ?? 0, 8));
  put(124, octal(entry.size ?? length, 12));
  put(136, octal(entry.mtime ?? 0, 12));
  put(156, type);
  put(157, bytesOf(entry.link ?? '').subarray(0, 100));
  if (magic === 'ustar') put(257, 'ustar\x0000');
  if (magic === 'gnu') put(257, 'ustar  \0');
  if (entry.major !== undefined) put(329, octal(entry.major, 8));
  if (entry.minor !== undefined) put(337, octal(entry.minor, 8));
  if (entry.prefix !== undefined) put(345, entry.prefix);
  for (const [at, bytes] of Object.entries(entry.raw ?? {})) put(Number(at), bytes);
  put(148, '        ');
  const sum = entry.checksum ?? out.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
  return out;
}
