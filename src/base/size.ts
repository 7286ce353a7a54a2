/** Sizes as people and engines write them. */

const UNITS = 'kmgtp';
/** `512`, `64m`, `1.5GiB`, `1 kb`; a unit is a power of 1024. */
const SIZE = /^([0-9]+)(?:\.([0-9]+))? ?([kmgtp]?)(i?b)?$/i;

/** A size in bytes, rounded down; undefined if the text is none. */
export function parseSize(text: string): bigint | undefined {
  const match = SIZE.exec(text);
  if (match === null || text.length > 40) return undefined;
  const [, digits = '', fraction = '', unit = ''] = match;
  const factor = 1024n ** BigInt(unit === '' ? 0 : UNITS.indexOf(unit.toLowerCase()) + 1);
  return BigInt(digits) * factor + (BigInt(fraction === '' ? 0 : fraction) * factor) / 10n ** BigInt(fraction.length);
}
