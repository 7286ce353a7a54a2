/** Bytes of the wire form in one growing buffer. See `encode.ts` for the form. */
import { StrataError } from '../base/error.ts';
import type { WireValue } from './wire.ts';

const U32_MAX = 0xffffffff;
const U64_MAX = 0xffffffffffffffffn;

export class Writer {
  #buffer = new Uint8Array(4096);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;

  u32(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value > U32_MAX) throw fault(`${value} is not an unsigned 32-bit integer`);
    this.#room(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  u64(value: bigint): void {
    if (value < 0n || value > U64_MAX) throw fault(`${value} is not an unsigned 64-bit integer`);
    this.#room(8);
    this.#view.setBigUint64(this.#length, value, true);
    this.#length += 8;
  }

  bytes(value: Uint8Array): void {
    this.u32(value.length);
    this.#room(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** UTF-8 with a NUL behind it. A lone surrogate, which has no UTF-8 form, becomes U+FFFD. */
  string(text: string): void {
    const at = this.reserve();
    const start = this.#length;
    // A UTF-16 unit takes at most three bytes of UTF-8, a pair of them four.
    this.#room(text.length * 3 + 1);
    const buffer = this.#buffer;
    let to = start;
    for (let index = 0; index < text.length; index++) {
      let code = text.charCodeAt(index);
      if (code < 0x80) {
        if (code === 0) throw fault('a string contains a NUL character');
        buffer[to++] = code;
        continue;
      }
      if (code < 0x800) {
        buffer[to++] = 0xc0 | (code >> 6);
        buffer[to++] = 0x80 | (code & 0x3f);
        continue;
      }
      if (code >= 0xd800 && code < 0xe000) {
        const next = code < 0xdc00 ? text.charCodeAt(index + 1) : Number.NaN;
        if (next >= 0xdc00 && next < 0xe000) {
          index++;
          code = 0x10000 + ((code - 0xd800) << 10) + (next - 0xdc00);
          buffer[to++] = 0xf0 | (code >> 18);
          buffer[to++] = 0x80 | ((code >> 12) & 0x3f);
          buffer[to++] = 0x80 | ((code >> 6) & 0x3f);
          buffer[to++] = 0x80 | (code & 0x3f);
          continue;
        }
        code = 0xfffd;
      }
      buffer[to++] = 0xe0 | (code >> 12);
      buffer[to++] = 0x80 | ((code >> 6) & 0x3f);
      buffer[to++] = 0x80 | (code & 0x3f);
    }
    this.fill(at, to - start);
    buffer[to++] = 0;
    this.#length = to;
  }

  values(values: readonly WireValue[]): this {
    for (const value of values) {
      if (typeof value === 'string') this.string(value);
      else if (typeof value === 'number') this.u32(value);
      else if (typeof value === 'bigint') this.u64(value);
      else if (typeof value === 'boolean') this.u32(value ? 1 : 0);
      else if (value instanceof Uint8Array) this.bytes(value);
      else this.block(value);
    }
    return this;
  }

  /** Values, with their length in bytes before them. */
  block(values: readonly WireValue[]): void {
    const length = this.reserve();
    const start = this.#length;
    this.values(values);
    this.fill(length, this.#length - start);
  }

  /** Leave room for a u32 that is known later, and say where it is. */
  private reserve(): number {
    const at = this.#length;
    this.u32(0);
    return at;
  }

  private fill(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + bytes));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
  }
}

function fault(reason: string): StrataError {
  return new StrataError({ code: 'internal', stage: 'plan', reason: `the plan cannot be encoded: ${reason}` });
}
