/**
 * Messages of D-Bus (D-Bus Specification, Type System and Message Protocol). Bytes are texts here, one character for each: every engine joins and
 * cuts those fast, and all that a message to systemd has is letters and small numbers.
 */
import { StrataError } from '../base/error.ts';

/**
 * What a signature describes: `y n q i u d` as number, `x t` as bigint, `s o g` as text, `b`, `v`; an array, a structure and a dictionary entry as
 * list.
 */
export type Value = string | number | bigint | boolean | Variant | readonly Value[];

/** A value that tells its own type. */
export interface Variant {
  readonly signature: string;
  readonly value: Value;
}

export const MESSAGE = { call: 1, reply: 2, error: 3, signal: 4 } as const;
const NO_REPLY_EXPECTED = 1;

export interface Call {
  readonly serial: number;
  /** '' on a connection without a bus in between. */
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature: string;
  readonly body: readonly Value[];
  readonly wantsReply: boolean;
}

export interface Message {
  readonly type: number;
  /** Of the call that this answers; 0 for none. */
  readonly replySerial: number;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly errorName: string;
  readonly body: readonly Value[];
  /** So many bytes it was long. */
  readonly size: number;
}

/** Of a message's header. */
export const FIELD = { path: 1, interface: 2, member: 3, errorName: 4, replySerial: 5, destination: 6, signature: 8 } as const;

/** Bytes; systemd's answers have some hundred. */
const LARGEST = 1024 * 1024;
const FIXED = 16;

/** @throws StrataError `internal` if a value does not fit the signature. */
export function encodeCall({ serial, destination, path, interface: name, member, signature, body, wantsReply }: Call): string {
  const fields: HeaderField[] = [
    [FIELD.path, { signature: 'o', value: path }],
    [FIELD.interface, { signature: 's', value: name }],
    [FIELD.member, { signature: 's', value: member }],
  ];
  if (destination !== '') fields.push([FIELD.destination, { signature: 's', value: destination }]);
  return encodeMessage([MESSAGE.call, wantsReply ? 0 : NO_REPLY_EXPECTED, serial], fields, signature, body);
}

export type HeaderField = readonly [field: number, value: Variant];

/** A message of any type; the field of its signature need not be given. */
export function encodeMessage(
  [type, flags, serial]: readonly [type: number, flags: number, serial: number],
  fields: readonly HeaderField[],
  signature: string,
  values: readonly Value[],
): string {
  const body = new Writer(0);
  body.all(signature, values);
  const all: readonly HeaderField[] = signature === '' ? fields : [...fields, [FIELD.signature, { signature: 'g', value: signature }]];
  const header = new Writer(0);
  header.all('yyyyuua(yv)', ['l'.charCodeAt(0), type, flags, 1, body.bytes.length, serial, all]);
  header.align(8);
  return header.bytes + body.bytes;
}

/** The message at the beginning of `bytes`; undefined if that is not all of it. @throws StrataError `system` if it is none. */
export function decodeMessage(bytes: string): Message | undefined {
  if (bytes.length < FIXED) return undefined;
  const isLittle = bytes[0] === 'l';
  if ((!isLittle && bytes[0] !== 'B') || bytes.charCodeAt(3) !== 1) throw malformed();
  const start = new Reader(bytes, 4, isLittle);
  const bodySize = start.number(4);
  start.number(4);
  const fieldsSize = start.number(4);
  const at = FIXED + Math.ceil(fieldsSize / 8) * 8;
  const size = at + bodySize;
  if (size > LARGEST) throw malformed();
  if (bytes.length < size) return undefined;
  const fields = new Map<number, Value>();
  for (const field of new Reader(bytes.slice(0, at), 12, isLittle).all('a(yv)')[0] as readonly (readonly [number, Variant])[]) {
    fields.set(field[0], field[1].value);
  }
  const text = (field: number): string => {
    const value = fields.get(field) ?? '';
    return typeof value === 'string' ? value : '';
  };
  const replySerial = fields.get(FIELD.replySerial);
  return {
    type: bytes.charCodeAt(1),
    replySerial: typeof replySerial === 'number' ? replySerial : 0,
    path: text(FIELD.path),
    interface: text(FIELD.interface),
    member: text(FIELD.member),
    errorName: text(FIELD.errorName),
    body: new Reader(bytes.slice(at, size), 0, isLittle).all(text(FIELD.signature)),
    size,
  };
}

function malformed(): StrataError {
  return new StrataError({ code: 'system', stage: 'cgroup', reason: 'systemd sent what is no message of D-Bus' });
}

/** Where the single complete type ends that begins at `at`. */
export function typeEnd(signature: string, at: number): number {
  const code = signature[at];
  if (code === 'a') return typeEnd(signature, at + 1);
  if (code !== '(' && code !== '{') return at + 1;
  let end = at + 1;
  while (end < signature.length && signature[end] !== ')' && signature[end] !== '}') end = typeEnd(signature, end);
  return end + 1;
}

function alignmentOf(code: string | undefined): number {
  if (code === 'n' || code === 'q') return 2;
  if (code === 'i' || code === 'u' || code === 'b' || code === 's' || code === 'o' || code === 'a') return 4;
  return code === 'x' || code === 't' || code === 'd' || code === '(' || code === '{' ? 8 : 1;
}

/** Bytes of a number of this type; 0 for what is none. */
function widthOf(code: string | undefined): number {
  if (code === 'y') return 1;
  return code !== undefined && 'nqiuxtd'.includes(code) ? alignmentOf(code) : 0;
}

class Writer {
  bytes = '';
  /** Where in the message the first of them stands. */
  private readonly offset: number;

  constructor(offset: number) {
    this.offset = offset;
  }

  align(to: number): void {
    while ((this.offset + this.bytes.length) % to !== 0) this.bytes += '\0';
  }

  all(signature: string, values: readonly Value[]): void {
    let index = 0;
    for (let at = 0; at < signature.length; at = typeEnd(signature, at)) this.one(signature, at, values[index++]);
    if (index !== values.length) throw unfit(signature);
  }

  private one(signature: string, at: number, value: Value | undefined): void {
    const code = signature[at];
    this.align(alignmentOf(code));
    if (code === 's' || code === 'o') this.text(value);
    else if (code === 'g') this.shortText(value);
    else if (code === 'b') this.integer(value === true ? 1n : 0n, 4);
    else if (code === 'v') this.variant(value);
    else if (code === 'a') this.array(signature.slice(at + 1, typeEnd(signature, at)), value);
    else if (code === '(' || code === '{') this.all(signature.slice(at + 1, typeEnd(signature, at) - 1), list(value, signature));
    else if (code === 'd') this.integer(new BigUint64Array(new Float64Array([Number(value)]).buffer)[0] ?? 0n, 8);
    else if (widthOf(code) !== 0 && (typeof value === 'number' || typeof value === 'bigint')) this.integer(BigInt(value), widthOf(code));
    else throw unfit(signature);
  }

  private integer(value: bigint, width: number): void {
    let rest = BigInt.asUintN(width * 8, value);
    for (let count = 0; count < width; count++) {
      this.bytes += String.fromCharCode(Number(rest & 0xffn));
      rest >>= 8n;
    }
  }

  private text(value: Value | undefined): void {
    if (typeof value !== 'string') throw unfit('s');
    const bytes = toBytes(value);
    this.integer(BigInt(bytes.length), 4);
    this.bytes += `${bytes}\0`;
  }

  private shortText(value: Value | undefined): void {
    if (typeof value !== 'string') throw unfit('g');
    this.bytes += `${String.fromCharCode(value.length)}${value}\0`;
  }

  private variant(value: Value | undefined): void {
    if (typeof value !== 'object' || !('signature' in value)) throw unfit('v');
    this.shortText(value.signature);
    this.all(value.signature, [value.value]);
  }

  private array(type: string, value: Value | undefined): void {
    // The padding between the length and the first element is not counted.
    const lengthAt = this.bytes.length;
    this.integer(0n, 4);
    this.align(alignmentOf(type[0]));
    const items = new Writer(this.offset + this.bytes.length);
    for (const item of list(value, type)) items.one(type, 0, item);
    const length = new Writer(0);
    length.integer(BigInt(items.bytes.length), 4);
    this.bytes = this.bytes.slice(0, lengthAt) + length.bytes + this.bytes.slice(lengthAt + 4) + items.bytes;
  }
}

function list(value: Value | undefined, signature: string): readonly Value[] {
  if (!Array.isArray(value)) throw unfit(signature);
  return value as readonly Value[];
}

function unfit(signature: string): StrataError {
  return new StrataError({ code: 'internal', stage: 'cgroup', reason: `a value for D-Bus is not of the type ${signature}` });
}

class Reader {
  private readonly bytes: string;
  private at: number;
  private readonly isLittle: boolean;

  constructor(bytes: string, at: number, isLittle: boolean) {
    this.bytes = bytes;
    this.at = at;
    this.isLittle = isLittle;
  }

  all(signature: string): Value[] {
    const out: Value[] = [];
    for (let at = 0; at < signature.length; at = typeEnd(signature, at)) out.push(this.one(signature, at));
    return out;
  }

  /** An unsigned number of up to four bytes. */
  number(width: number): number {
    return Number(this.integer(width));
  }

  private one(signature: string, at: number): Value {
    const code = signature[at];
    this.align(alignmentOf(code));
    if (code === 's' || code === 'o') return this.text(this.number(4));
    if (code === 'g') return this.text(this.number(1));
    if (code === 'b') return this.number(4) !== 0;
    if (code === 'v') return this.variant();
    if (code === 'a') return this.array(signature.slice(at + 1, typeEnd(signature, at)));
    if (code === '(' || code === '{') return this.all(signature.slice(at + 1, typeEnd(signature, at) - 1));
    const width = widthOf(code);
    if (width === 0) throw malformed();
    const value = this.integer(width);
    if (code === 'd') return new Float64Array(new BigUint64Array([value]).buffer)[0] ?? 0;
    if (width === 8) return code === 'x' ? BigInt.asIntN(64, value) : value;
    return Number(code === 'n' || code === 'i' ? BigInt.asIntN(width * 8, value) : value);
  }

  private align(to: number): void {
    this.at = Math.ceil(this.at / to) * to;
  }

  private integer(width: number): bigint {
    if (this.at + width > this.bytes.length) throw malformed();
    let value = 0n;
    for (let count = 0; count < width; count++) {
      value = (value << 8n) | BigInt(this.bytes.charCodeAt(this.isLittle ? this.at + width - 1 - count : this.at + count));
    }
    this.at += width;
    return value;
  }

  private text(length: number): string {
    const end = this.at + length;
    if (end >= this.bytes.length) throw malformed();
    const text = fromBytes(this.bytes.slice(this.at, end));
    this.at = end + 1;
    return text;
  }

  private variant(): Variant {
    const signature = this.text(this.number(1));
    if (signature === '' || typeEnd(signature, 0) !== signature.length) throw malformed();
    return { signature, value: this.one(signature, 0) };
  }

  private array(type: string): Value[] {
    const length = this.number(4);
    this.align(alignmentOf(type[0]));
    const end = this.at + length;
    if (end > this.bytes.length) throw malformed();
    const out: Value[] = [];
    while (this.at < end) out.push(this.one(type, 0));
    return out;
  }
}

const ONE_BYTE = /^[\0-\x7f]*$/;

/** Text as UTF-8. */
function toBytes(text: string): string {
  if (ONE_BYTE.test(text)) return text;
  let out = '';
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x80) out += character;
    else if (code < 0x800) out += String.fromCharCode(0xc0 | (code >> 6), tail(code));
    else if (code < 0x10000) out += String.fromCharCode(0xe0 | (code >> 12), tail(code >> 6), tail(code));
    else out += String.fromCharCode(0xf0 | (code >> 18), tail(code >> 12), tail(code >> 6), tail(code));
  }
  return out;
}

function tail(code: number): number {
  return 0x80 | (code & 0x3f);
}

/** UTF-8 as text; what is none, which only words for people could be, becomes U+FFFD. */
function fromBytes(bytes: string): string {
  if (ONE_BYTE.test(bytes)) return bytes;
  return bytes.replace(/[\xc2-\xf4][\x80-\xbf]{1,3}|[\x80-\xff]/g, (found) => {
    const first = found.charCodeAt(0);
    const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (found.length !== length) return '\ufffd';
    let code = first & (0xff >> (length + 1));
    for (let index = 1; index < length; index++) code = (code << 6) | (found.charCodeAt(index) & 0x3f);
    return code > 0x10ffff ? '\ufffd' : String.fromCodePoint(code);
  });
}
