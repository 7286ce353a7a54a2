/**
 * The wire format of Protocol Buffers (protobuf.dev, Encoding), as much of it as CRIU's protocol has: varints, and what has a length before it. Bytes
 * are texts here, one character for each, as in `src/systemd`.
 */
import { StrataError } from '../base/error.ts';

const VARINT = 0;
const LENGTH = 2;
/** Bytes of the longest varint. */
const LONGEST = 10;

/** A message's fields, one after the other. */
export class MessageWriter {
  bytes = '';

  /** int32, uint32 or an enumeration: a negative number travels with 64 bits. */
  number(field: number, value: number): void {
    this.bytes += varint(field * 8 + VARINT) + varint(value);
  }

  boolean(field: number, value: boolean): void {
    this.number(field, value ? 1 : 0);
  }

  string(field: number, text: string): void {
    this.message(field, utf8(text));
  }

  /** Another message in its bytes. */
  message(field: number, bytes: string): void {
    this.bytes += varint(field * 8 + LENGTH) + varint(bytes.length) + bytes;
  }
}

/** A varint's low 32 bits, or the bytes of what has a length. */
type WireField = number | string;

/** A message that was read. Of a field that is there more than once the last one counts; a field that nobody asks for is passed over. */
export class MessageReader {
  private readonly fields = new Map<number, WireField>();

  /** @throws StrataError `system` if the bytes are no message. */
  constructor(bytes: string) {
    const input = { bytes, at: 0 };
    while (input.at < bytes.length) {
      const tag = readVarint(input);
      const value = readValue(input, tag % 8);
      if (value !== undefined) this.fields.set(Math.floor(tag / 8), value);
    }
  }

  /** int32. @throws StrataError `system` for a field of another form, as all that follow. */
  number(field: number): number | undefined {
    const value = this.fields.get(field);
    if (typeof value === 'string') throw malformed();
    return value === undefined ? undefined : value | 0;
  }

  boolean(field: number): boolean | undefined {
    const value = this.number(field);
    return value === undefined ? undefined : value !== 0;
  }

  string(field: number): string | undefined {
    const value = this.fields.get(field);
    if (typeof value === 'number') throw malformed();
    return value === undefined ? undefined : fromUtf8(value);
  }

  message(field: number): MessageReader | undefined {
    const value = this.fields.get(field);
    if (typeof value === 'number') throw malformed();
    return value === undefined ? undefined : new MessageReader(value);
  }
}

interface Input {
  readonly bytes: string;
  at: number;
}

/** undefined for the forms of 4 and 8 bytes, which no field of ours has. */
function readValue(input: Input, form: number): WireField | undefined {
  if (form === VARINT) return readVarint(input);
  const size = form === LENGTH ? readVarint(input) : form === 5 ? 4 : form === 1 ? 8 : undefined;
  if (size === undefined || size > input.bytes.length - input.at) throw malformed();
  const start = input.at;
  input.at += size;
  return form === LENGTH ? input.bytes.slice(start, input.at) : undefined;
}

/** The low 32 bits of it, which is what a field of 32 bits takes of a longer one. */
function readVarint(input: Input): number {
  let value = 0;
  for (let index = 0; index < LONGEST && input.at < input.bytes.length; index++) {
    const byte = input.bytes.charCodeAt(input.at++);
    if (index < 5) value = (value | ((byte & 0x7f) << (7 * index))) >>> 0;
    if (byte < 0x80) return value;
  }
  throw malformed();
}

function varint(value: number): string {
  let rest = BigInt.asUintN(64, BigInt(value));
  let out = '';
  while (rest > 0x7fn) {
    out += String.fromCharCode(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return out + String.fromCharCode(Number(rest));
}

/** @throws StrataError `config-invalid` for a lone surrogate. */
function utf8(text: string): string {
  try {
    return encodeURIComponent(text).replace(/%([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  } catch {
    throw new StrataError({ code: 'config-invalid', reason: 'a text for CRIU is not Unicode' });
  }
}

/** Bytes that are no UTF-8 stay single characters: such a text is only shown. */
function fromUtf8(bytes: string): string {
  try {
    return decodeURIComponent(bytes.replace(/[^\w.~-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`));
  } catch {
    return bytes;
  }
}

function malformed(): StrataError {
  return new StrataError({ code: 'system', reason: 'CRIU sent what is no message of its protocol' });
}
