/** Values in the order in which they travel, and the bytes that they travel as. See `encode.ts` for the form. */
import { Writer } from './writer.ts';

/** A number is a u32, and so is a boolean; a bigint is a u64; a list of values is their length in bytes, then the values. */
export type WireValue = number | boolean | bigint | string | Uint8Array | readonly WireValue[];

/** The bytes of `values`; undefined where one has no such form. */
export type Pack = (values: readonly WireValue[]) => Uint8Array | undefined;

let packNatively: Pack = () => undefined;

/**
 * Use `pack` from now on, for an engine that interprets: writing a plan byte by byte is then the most expensive part of all that is done for a
 * container.
 */
export function packWith(pack: Pack): void {
  packNatively = pack;
}

/** @throws StrataError `internal` for a string with a NUL in it, or a number out of range. */
export function pack(values: readonly WireValue[]): Uint8Array {
  return packNatively(values) ?? new Writer().values(values).finish();
}

/** A list is the number of its items, then the items. @returns the number of values that there are now. */
export function appendList(values: WireValue[], items: readonly (string | number)[]): number {
  let end = values.length;
  values[end] = items.length;
  for (let index = 0; index < items.length; ++index) values[++end] = items[index] as string | number;
  return end + 1;
}
