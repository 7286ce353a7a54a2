/**
 * Readers turn a value of unknown shape into a typed one, or throw {@link Mismatch}. They are made once, when the module loads.
 * A reader does not know where its value stands: the containers add the tokens of the pointer while a mismatch travels up, so good input pays nothing.
 *
 * This sees every value of a configuration. Its loops go by index, since in QuickJS an iterator costs more than reading a value does.
 */
import type { ErrorCode } from '../base/error.ts';
import { StrataError } from '../base/error.ts';
import { bounded, pointer } from '../base/pointer.ts';

export type Reader<T> = (value: unknown) => T;

/** What is wrong, and where below the value that is being read. */
class Mismatch extends Error {
  readonly tokens: (string | number)[] = [];
}

/** A property of an object; JSON's null is the same as an absent property, since engines written in Go emit null for an empty slice. */
interface Field<T> {
  readonly read: Reader<T | undefined>;
  readonly required: boolean;
  /** Stands in for an absent property. */
  readonly fallback: T | undefined;
}
/** A field that always has a value. */
interface FullField<T> extends Field<T> {
  readonly full: true;
}
type Fields<T> = { readonly [K in keyof T]-?: Partial<Pick<T, K>> extends Pick<T, K> ? Field<T[K]> : FullField<T[K]> };

export function required<T>(read: Reader<T>): FullField<T> {
  return { read, required: true, fallback: undefined, full: true };
}
/** The property is left out when it is absent, and when the reader returns undefined. */
export function optional<T>(read: Reader<T | undefined>): Field<T> {
  return { read, required: false, fallback: undefined };
}
export function defaulting<T>(read: Reader<T>, fallback: T): FullField<T> {
  return { read, required: false, fallback, full: true };
}

/** Throws what this value should have been. */
export function mismatch(expected: string, found: unknown): never {
  throw new Mismatch(`expected ${expected}, found ${describe(found)}`);
}
/** As {@link mismatch}, for the property `key` of the value. */
export function mismatchAt(key: string, reason: string): never {
  throw inside(new Mismatch(reason), key);
}
function inside(error: unknown, token: string | number): unknown {
  if (error instanceof Mismatch) error.tokens.unshift(token);
  return error;
}

/** The value in a few words. */
function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (typeof value === 'object') return Array.isArray(value) ? 'an array' : 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length <= 50 ? text : `${text.slice(0, 40)}…`;
}

/** Reads a whole document; a mismatch becomes a StrataError whose pointer begins with `base`. */
export function readWhole<T>(read: Reader<T>, value: unknown, base: string, code: ErrorCode = 'config-invalid'): T {
  try {
    return read(value);
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    throw new StrataError({ code, stage: 'load', pointer: bounded(pointer(base, ...error.tokens)), reason: error.message });
  }
}

export function text(value: unknown): string {
  if (typeof value !== 'string') mismatch('a string', value);
  if (value.includes('\0')) throw new Mismatch('must not contain a NUL byte');
  return value;
}
/** The empty string is the same as an absent one, as for engines and peers written in Go. */
export function someText(value: unknown): string | undefined {
  return text(value) === '' ? undefined : (value as string);
}
export function textLike(pattern: RegExp, expected: string): Reader<string> {
  return (value) => (pattern.test(text(value)) ? (value as string) : mismatch(expected, value));
}
/** One of the words of a list that are separated by spaces, each behind the prefix. */
export function oneOf<T extends string>(words: string, prefix = ''): Reader<T> {
  const all = words.split(' ').map((word) => prefix + word);
  return (value) => (all.includes(text(value)) ? (value as T) : mismatch(`one of ${all.join(', ')}`, value));
}
export function flag(value: unknown): boolean {
  return typeof value === 'boolean' ? value : mismatch('true or false', value);
}

/** An integer from `min` to `max`, both within ±(2^53 - 1). */
export function integer(min: number, max: number): Reader<number> {
  // Adding 0 makes 0 of -0.
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max ? (value as number) + 0 : outOfRange(min, max, value);
}
/** A 64-bit integer. */
export function long(min: bigint, max: bigint): Reader<bigint> {
  return (value) => {
    if (typeof value !== 'bigint' && !Number.isInteger(value)) outOfRange(min, max, value);
    const exact = BigInt(value as bigint | number);
    return exact >= min && exact <= max ? exact : outOfRange(min, max, value);
  };
}
function outOfRange(min: number | bigint, max: number | bigint, value: unknown): never {
  mismatch(`an integer from ${min} to ${max}`, value);
}

export function list<T>(read: Reader<T>): Reader<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) mismatch('an array', value);
    const out: T[] = [];
    try {
      for (let index = 0; index < value.length; index++) out.push(read(value[index]));
    } catch (error) {
      throw inside(error, out.length);
    }
    return out;
  };
}
const readTexts = list(text);
/** A list of texts, which is where most values of a configuration stand: without a call for each, unless one has a fault. */
export function texts(value: unknown): readonly string[] {
  if (!Array.isArray(value)) mismatch('an array', value);
  for (let index = 0; index < value.length; index++) {
    const item: unknown = value[index];
    if (typeof item !== 'string' || item.includes('\0')) return readTexts(value);
  }
  return value.slice();
}
/** An empty list is the same as an absent one. */
export function someOf<T>(read: Reader<T>): Reader<readonly T[] | undefined> {
  const readList = list(read);
  return (value) => {
    const items = readList(value);
    return items.length === 0 ? undefined : items;
  };
}

function properties(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) mismatch('an object', value);
  return value as Readonly<Record<string, unknown>>;
}

/** An object of named properties. `unused` are checked and dropped; properties of other names are ignored, as config.md, Extensibility, says. */
export function object<T extends object>(fields: Fields<T>, unused: Readonly<Record<string, Reader<unknown>>> = {}): Reader<T> {
  const names = Object.keys(fields);
  const all: readonly Field<unknown>[] = Object.values(fields);
  const droppedNames = Object.keys(unused);
  return (value) => {
    const from = properties(value);
    const out: Record<string, unknown> = {};
    let key = '';
    try {
      for (let index = 0, { length } = names; index < length; index++) {
        key = names[index] as string;
        const item = from[key];
        const field = all[index] as Field<unknown>;
        const read = item === undefined || item === null ? field.fallback : field.read(item);
        if (read !== undefined) out[key] = read;
        else if (field.required) throw new Mismatch('required, but absent');
      }
      for (let index = 0; index < droppedNames.length; index++) {
        key = droppedNames[index] as string;
        const item = from[key];
        if (item !== undefined && item !== null) unused[key]?.(item);
      }
    } catch (error) {
      throw inside(error, key);
    }
    return out as T;
  };
}

/** An object with any names but the empty one. */
export function map<T>(read: Reader<T>): Reader<Readonly<Record<string, T>>> {
  return (value) => {
    const from = properties(value);
    const names = Object.keys(from);
    const out: [string, T][] = [];
    let key = '';
    try {
      for (let index = 0; index < names.length; index++) {
        key = names[index] as string;
        if (text(key) === '') throw new Mismatch('the empty string is not a key');
        const item = from[key];
        if (item !== null) out.push([key, read(item)]);
      }
    } catch (error) {
      throw inside(error, key);
    }
    return Object.fromEntries(out);
  };
}
