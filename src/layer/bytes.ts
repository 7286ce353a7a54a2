/** Names as bytes. */
import { printable } from '../base/error.ts';

/** A character for each byte. */
export function ascii(bytes: Uint8Array): string {
  let out = '';
  for (let at = 0; at < bytes.length; at++) out += String.fromCharCode(bytes[at] as number);
  return out;
}

/** A byte for each character, which must be below U+0100. */
export function asciiOf(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) out[at] = text.charCodeAt(at);
  return out;
}

/** Of a name in a message, in bytes. */
const LONGEST_QUOTE = 200;

/** A name for a message, in quotes and on one line: text where it is ASCII, escapes elsewhere; its end is left out if it is long. */
export function quoteBytes(bytes: Uint8Array): string {
  let out = '';
  for (let at = 0; at < Math.min(bytes.length, LONGEST_QUOTE); at++) {
    const byte = bytes[at] as number;
    out += byte < 0x80 ? printable(String.fromCharCode(byte)) : `\\x${byte.toString(16)}`;
  }
  return bytes.length > LONGEST_QUOTE ? `'${out}…'` : `'${out}'`;
}
